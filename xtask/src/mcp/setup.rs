//! The suite's servers as connections of Weir's, and the policy for them.

use anyhow::Result;

use super::kit::Kit;
use super::servers::{Carrier, Server};
use crate::stage::policies::{self, Edit};
use crate::stage::{Stage, put_in_force};

/// What the suite adds to the demo's policies.
pub(super) const POLICY: [Edit; 4] = [
    Edit {
        file: "masks.toml",
        from: "",
        to: include_str!("../../mcp/suite/masks.toml"),
    },
    Edit {
        file: "policies.cedar",
        from: "",
        to: include_str!("../../mcp/suite/policies.cedar"),
    },
    Edit {
        file: "policies.cedar",
        from: "",
        to: include_str!("../../mcp/suite/sse.cedar"),
    },
    Edit {
        file: "policies.cedar",
        from: "",
        to: include_str!("../../mcp/suite/loose.cedar"),
    },
];

/// What was set up.
pub(super) struct Setup {
    /// The fixture, where engineers may do everything and nothing is masked.
    pub open: Server,
    /// The fixture by the transport of 2024-11-05, as guarded as the shop.
    pub sse: Server,
    /// The fixture, where engineers see values masked, and not every tool.
    pub shop: Server,
    /// A server that takes whatever it can make sense of.
    pub naive: Server,
    /// One that says what its tools take, and checks nothing.
    pub loose: Server,
    before: u64,
}

/// Starts the servers, registers them, and pushes the policy.
pub(super) fn make(stage: &Stage, kit: &Kit) -> Result<Setup> {
    let open = Server::fixture(stage, kit, "suite-open", Carrier::Http)?;
    let sse = Server::fixture(stage, kit, "suite-sse", Carrier::Sse)?;
    let shop = Server::fixture(stage, kit, "suite-shop", Carrier::Http)?;
    let naive = Server::naive(stage, kit, "suite-naive")?;
    let loose = Server::node(stage, kit, "suite-loose", "loose.mjs")?;
    for server in [&open, &sse, &shop, &naive, &loose] {
        server.register(stage)?;
    }
    let admin = stage.control.admin();
    let before = policies::active(&admin)?;
    policies::push(stage.site, &admin, "mcp-suite", &POLICY)?;
    Ok(Setup {
        open,
        sse,
        shop,
        naive,
        loose,
        before,
    })
}

impl Setup {
    fn servers(&self) -> [&Server; 5] {
        [&self.open, &self.sse, &self.shop, &self.naive, &self.loose]
    }

    /// Who listens where.
    pub(super) fn told(&self) -> String {
        let told = self
            .servers()
            .map(|server| format!("{} at {}", server.name, server.port));
        told.join(", ")
    }

    /// The demo's own policy is in force again, and the connections are gone.
    pub(super) fn remove(&self, stage: &Stage) -> Result<()> {
        let admin = stage.control.admin();
        policies::roll_back(stage.site, &admin, self.before)?;
        put_in_force(stage.site, &admin, || {
            for server in self.servers() {
                admin.run(&["connection", "remove", server.name])?;
            }
            Ok(())
        })
    }
}
