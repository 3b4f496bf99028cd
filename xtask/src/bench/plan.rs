//! What is measured: rows, variants, and the budget's lines for them.

use super::rows::Sample;
use super::setting::{MASKED, PLAIN, Setting};
use crate::stage::Caller;

/// What stands between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Nothing.
    Direct,
    /// haproxy in TCP mode, one thread.
    Haproxy,
    /// pgbouncer in session mode.
    Pgbouncer,
    /// nginx as a plain reverse proxy, one worker.
    Nginx,
    /// Weir: policy, masking, audit; what is not a plain read is synced before it goes on.
    Weir,
    /// The same where policy says that records are kept (`@durability("kept")`): they are synced
    /// some milliseconds later.
    WeirKept,
    /// The same, TLS from the client to it.
    WeirTls,
}

impl Variant {
    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Haproxy => "haproxy",
            Self::Pgbouncer => "pgbouncer",
            Self::Nginx => "nginx",
            Self::Weir => "weir",
            Self::WeirKept => "weir-kept",
            Self::WeirTls => "weir-tls",
        }
    }

    /// Whether Weir stands between.
    pub(crate) const fn is_weir(self) -> bool {
        match self {
            Self::Weir | Self::WeirKept | Self::WeirTls => true,
            Self::Direct | Self::Haproxy | Self::Pgbouncer | Self::Nginx => false,
        }
    }

    /// The process that stands between.
    pub(crate) fn pid(self, setting: &Setting<'_>) -> Option<i32> {
        match self {
            Self::Direct => None,
            Self::Haproxy => Some(setting.haproxy.pid),
            Self::Pgbouncer => Some(setting.pgbouncer.pid),
            Self::Nginx => Some(setting.nginx.pid),
            Self::Weir | Self::WeirKept | Self::WeirTls => Some(setting.weir),
        }
    }

    /// Who asks: inside the guarded cgroup, or outside.
    pub(crate) fn caller<'s>(self, setting: &'s Setting<'_>) -> &'s Caller {
        if self.is_weir() {
            &setting.guarded
        } else {
            &setting.free
        }
    }
}

/// What a row compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Median latency: less is better.
    P50,
    /// Rate: more is better.
    Rate,
    /// CPU time of the proxy per operation: less is better.
    Cpu,
}

/// A line of DESIGN's budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Must {
    /// Whose figure.
    pub of: Variant,
    /// What.
    pub measure: Measure,
    /// Its ratio to whom; to nobody: the figure itself, in microseconds.
    pub to: Option<Variant>,
    /// The bound: at most for latency and CPU, at least for rates.
    pub bound: f64,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// One statement on so many connections.
    Small {
        statement: &'static str,
        connections: usize,
    },
    /// pgbench with one of its scripts.
    Pgbench {
        script: Script,
        mode: &'static str,
        clients: usize,
    },
    /// The large result.
    Bulk(Bulk),
    /// A tool call on so many connections.
    Mcp { call: Call, connections: usize },
}

/// Which tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// A customer, with values to mask.
    Lookup,
    /// So many bytes, which come back.
    Echo(usize),
    /// A customer; what counts is the first byte of the stream of events that answers.
    FirstByte,
}

impl Ask {
    /// Whether everything that takes part stays on one core.
    pub(crate) const fn has_one_core(self) -> bool {
        match self {
            Self::Small { .. } => true,
            Self::Pgbench { .. } | Self::Bulk(_) | Self::Mcp { .. } => false,
        }
    }
}

/// What pgbench asks in a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// `pgbench -S`: an account by a random key. In simple mode nearly every text is new.
    Accounts,
    /// The same text each time: it is parsed once.
    OneText,
    /// A person by a random key, of whom one column is masked.
    People,
}

impl Script {
    /// The script's text; none for pgbench's own.
    pub(crate) const fn text(self) -> Option<&'static str> {
        match self {
            Self::Accounts => None,
            Self::OneText => Some("SELECT abalance FROM pgbench_accounts WHERE aid = 7;\n"),
            Self::People => Some(
                "\\set id random(1, 400000)\nSELECT name, ssn, city FROM people WHERE id = :id;\n",
            ),
        }
    }
}

/// Which of the two tables of 100 MB is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bulk {
    /// One column of ten is masked.
    Masked,
    /// Nothing in it is.
    Clear,
}

impl Bulk {
    /// The table.
    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Masked => "bulk",
            Self::Clear => "bulk_clear",
        }
    }
}

/// A row with all its samples: one list per variant, one sample per round.
pub(crate) struct Row {
    /// Its name.
    pub name: String,
    /// What it is, for readers.
    pub title: String,
    /// What is compared.
    pub measure: Measure,
    /// What the budget demands.
    pub musts: Vec<Must>,
    /// The samples.
    pub samples: Vec<(Variant, Vec<Sample>)>,
    /// What was proved on the way.
    pub proofs: Vec<String>,
    /// Runs that failed, and why.
    pub failures: Vec<String>,
    /// What is asked.
    pub ask: Ask,
}

const POSTGRES: [Variant; 5] = [
    Variant::Direct,
    Variant::Haproxy,
    Variant::Pgbouncer,
    Variant::Weir,
    Variant::WeirTls,
];

/// Who is measured with calls of tools.
const MCP: [Variant; 4] = [
    Variant::Direct,
    Variant::Nginx,
    Variant::Weir,
    Variant::WeirKept,
];

/// Weir's own among them.
const MCP_WEIR: [Variant; 2] = [Variant::Weir, Variant::WeirKept];

/// The first event is to come as it does through nginx, which reads nothing of it. Medians of rounds
/// of the same proxy differ by so much.
const FIRST_EVENT_NOISE: f64 = 1.1;

/// Every row, without samples.
pub(crate) fn plan() -> Vec<Row> {
    let mut rows = Vec::new();
    for connections in [1, 16, 128] {
        let must = |measure, to, bound| Must {
            of: Variant::Weir,
            measure,
            to: Some(to),
            bound,
        };
        let musts = match connections {
            1 => Vec::new(),
            _ => vec![
                must(Measure::P50, Variant::Direct, 2.0),
                must(Measure::Cpu, Variant::Haproxy, 1.0),
            ],
        };
        let title =
            format!("small statement, scripted server, {connections} connections, all on one core");
        rows.push(Row::new(
            &format!("small-{connections}"),
            title,
            Measure::P50,
            musts,
            &POSTGRES,
            Ask::Small {
                statement: PLAIN,
                connections,
            },
        ));
    }
    let title = "the same with a masked column, 16 connections".to_owned();
    rows.push(Row::new(
        "small-masked-16",
        title,
        Measure::P50,
        Vec::new(),
        &POSTGRES,
        Ask::Small {
            statement: MASKED,
            connections: 16,
        },
    ));
    for (name, script, mode, clients, bound) in [
        ("simple-1", Script::Accounts, "simple", 1, None),
        ("prepared-1", Script::Accounts, "prepared", 1, Some(1.0)),
        ("simple-16", Script::Accounts, "simple", 16, Some(0.95)),
        ("prepared-16", Script::Accounts, "prepared", 16, Some(0.95)),
        ("one-text-16", Script::OneText, "simple", 16, None),
        ("masked-simple-16", Script::People, "simple", 16, None),
        ("masked-prepared-16", Script::People, "prepared", 16, None),
    ] {
        let must = |bound| Must {
            of: Variant::Weir,
            measure: Measure::Rate,
            to: Some(Variant::Pgbouncer),
            bound,
        };
        let what = match script {
            Script::Accounts if mode == "simple" => "-S, nearly every text new to the cache,",
            Script::Accounts => "-S,",
            Script::OneText => "one text, always in the cache,",
            Script::People => "by key, one of three columns masked,",
        };
        let title = format!("pgbench {what} {mode}, {clients} clients, PostgreSQL, unpinned");
        let ask = Ask::Pgbench {
            script,
            mode,
            clients,
        };
        rows.push(Row::new(
            &format!("pgbench-{name}"),
            title,
            Measure::Rate,
            bound.map(must).into_iter().collect(),
            &POSTGRES,
            ask,
        ));
    }
    let must = Must {
        of: Variant::Weir,
        measure: Measure::Rate,
        to: Some(Variant::Haproxy),
        bound: 0.8,
    };
    for (name, what, table) in [
        ("bulk", "one column of ten masked", Bulk::Masked),
        ("bulk-clear", "nothing masked", Bulk::Clear),
    ] {
        rows.push(Row::new(
            name,
            format!("100 MB result, {what}, PostgreSQL, unpinned"),
            Measure::Rate,
            vec![must],
            &[
                Variant::Direct,
                Variant::Haproxy,
                Variant::Weir,
                Variant::WeirTls,
            ],
            Ask::Bulk(table),
        ));
    }
    rows.extend(mcp());
    rows
}

/// The rows of MCP.
fn mcp() -> Vec<Row> {
    let musts = || {
        let of = |of| {
            [
                Must {
                    of,
                    measure: Measure::Rate,
                    to: Some(Variant::Nginx),
                    bound: 1.0,
                },
                Must {
                    of,
                    measure: Measure::Cpu,
                    to: None,
                    bound: 50.0,
                },
            ]
        };
        MCP_WEIR.into_iter().flat_map(of).collect()
    };
    let row = |name: &str, what: &str, measure, musts, call, connections| {
        Row::new(
            &format!("mcp-{name}"),
            format!("MCP tools/call, {what}, the official SDK's server, unpinned"),
            measure,
            musts,
            &MCP,
            Ask::Mcp { call, connections },
        )
    };
    let mut rows = Vec::new();
    for connections in [1, 16, 128] {
        let musts = if connections == 16 {
            musts()
        } else {
            Vec::new()
        };
        let what = format!("{connections} clients");
        let name = connections.to_string();
        rows.push(row(
            &name,
            &what,
            Measure::Rate,
            musts,
            Call::Lookup,
            connections,
        ));
    }
    for (name, bytes) in [("300b", 300), ("4k", 4 << 10), ("256k", 256 << 10)] {
        let what = format!("16 clients, {bytes} bytes there and back");
        let call = Call::Echo(bytes);
        rows.push(row(name, &what, Measure::Rate, Vec::new(), call, 16));
    }
    let what = "1 client, until the first byte of the first event";
    let call = Call::FirstByte;
    let unchanged = MCP_WEIR.map(|of| Must {
        of,
        measure: Measure::P50,
        to: Some(Variant::Nginx),
        bound: FIRST_EVENT_NOISE,
    });
    let musts = unchanged.into();
    rows.push(row("first-event", what, Measure::P50, musts, call, 1));
    rows
}

impl Row {
    fn new(
        name: &str,
        title: String,
        measure: Measure,
        musts: Vec<Must>,
        variants: &[Variant],
        ask: Ask,
    ) -> Self {
        let samples = variants
            .iter()
            .map(|variant| (*variant, Vec::new()))
            .collect();
        Self {
            name: name.to_owned(),
            title,
            measure,
            musts,
            samples,
            proofs: Vec::new(),
            failures: Vec::new(),
            ask,
        }
    }
}
