//! Tools whose definition nobody has approved: looked for in every list, kept from every call.

use std::sync::Arc;

use weir_audit::{JournalError, Kind};
use weir_facts::{Access, Action, Denial, Resource};
use weir_mcp::definition::definitions;
use weir_mcp::json::Value;
use weir_policy::Judgement;

use super::Desk;
use super::caller::Caller;
use super::context::{Context, Told};
use crate::io::{Effect, Env, ToolsSeen};
use crate::tools::{self, Doubt, KnownDefinition, Looked, SeenTool, Sight, Standing, ToolPins};
use crate::world::{Connection, Target, World};

/// The server as the world has it now: a flow outlives worlds.
fn connection<'a>(context: &'a Context, world: &'a World) -> &'a Arc<Connection> {
    let name = &context.connection.name;
    world.connections.named(name).unwrap_or(&context.connection)
}

fn pins(connection: &Connection) -> Option<&ToolPins> {
    match &connection.target {
        Target::Mcp(target) => Some(&target.tools),
        Target::Postgres(_) => None,
    }
}

/// Whether a tool may be used now.
pub(crate) fn standing(context: &Context, env: &Env<'_>, name: &str) -> Standing {
    match pins(connection(context, env.world)) {
        Some(pins) => context.tools.standing(pins, name),
        // The name was given to a server of another kind.
        None => Standing::Quarantined(Doubt::Unapproved),
    }
}

/// The definition of a tool that may be used, if its text is here.
pub(crate) fn definition(
    context: &Context,
    env: &Env<'_>,
    name: &str,
) -> Option<Arc<KnownDefinition>> {
    let pins = pins(connection(context, env.world))?;
    context.tools.definition(pins, name)
}

/// Whether the server is known to have a tool: a list has shown it, here or elsewhere.
pub(crate) fn is_known(context: &Context, env: &Env<'_>, name: &str) -> bool {
    !matches!(standing(context, env, name), Standing::Trusted(None))
}

/// Why nobody may use the tool that an access names, whatever policy says.
pub(crate) fn doubt(context: &Context, env: &Env<'_>, access: &Access) -> Option<Doubt> {
    let Resource::Tool(name) = &access.resource else {
        return None;
    };
    match standing(context, env, name) {
        Standing::Trusted(_) => None,
        Standing::Quarantined(doubt) => Some(doubt),
    }
}

/// The judgement of a tool that nobody may use. To the caller it is not there.
pub(crate) fn quarantined(context: &Context, access: &Access, doubt: Doubt) -> Judgement {
    let name = match &access.resource {
        Resource::Tool(name) => &**name,
        Resource::Connection
        | Resource::Table(_)
        | Resource::Column(_)
        | Resource::Function(_)
        | Resource::Parameter(_)
        | Resource::Prompt(_)
        | Resource::McpResource(_)
        | Resource::DataClass(_) => "",
    };
    let inside = format!(
        "quarantined: {doubt} (weir tools show {} {name})",
        context.connection.name
    );
    Judgement::refused(Denial {
        outside: "there is no such tool".into(),
        advice: None,
        inside: inside.into(),
        policies: Vec::new(),
        scopes: Vec::new(),
    })
}

/// Takes note of every tool of a list, before anything of it is shown: what is new is recorded
/// and told to the control plane.
///
/// # Errors
/// It could not be recorded, so the list may not be shown.
pub(crate) fn look(
    desk: &Desk,
    env: &mut Env<'_>,
    caller: &Caller,
    session: &str,
    result: &Value<'_>,
) -> Result<(), JournalError> {
    let context = &desk.context;
    let world = env.world.clone();
    let Some(pins) = pins(connection(context, &world)) else {
        return Ok(());
    };
    let mut untold = Vec::new();
    for definition in definitions(result) {
        let flaw = tools::flaw(&definition);
        let tool = SeenTool::new(definition);
        let sight = Sight {
            name: &tool.name,
            digest: tool.digest,
            flaw,
        };
        let looked = context.tools.look(pins, &sight);
        if looked.is_news {
            keep(context, env, caller, session, &tool, &looked)?;
        }
        if looked.standing == Standing::Trusted(Some(tool.digest)) {
            context.tools.learn(pins, &tool);
        }
        if looked.is_untold {
            untold.push(tool);
        }
    }
    if !untold.is_empty() {
        let seen = ToolsSeen {
            connection: context.connection.name.clone(),
            tools: untold,
        };
        env.out.effects.push(Effect::ReportTools(Box::new(seen)));
    }
    Ok(())
}

fn keep(
    context: &Context,
    env: &mut Env<'_>,
    caller: &Caller,
    session: &str,
    tool: &SeenTool,
    looked: &Looked,
) -> Result<(), JournalError> {
    let (verdict, reason) = match looked.standing {
        Standing::Trusted(_) => ("allow", "seen for the first time".to_owned()),
        Standing::Quarantined(doubt) => ("deny", format!("quarantined: {doubt}")),
    };
    let access = Access {
        action: Action::McpListTool,
        resource: Resource::Tool(tool.name.as_str().into()),
    };
    let told = Told {
        summary: &format!("definition sha256:{}", tool.digest),
        accesses: std::slice::from_ref(&access),
        verdict,
        reason: &reason,
        session,
        bytes: tool.definition.as_bytes(),
        ..Told::NOTHING
    };
    let _ = context.keep(env, Kind::Tool, None, Some(caller), told)?;
    Ok(())
}
