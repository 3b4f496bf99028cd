use std::fmt;

use crate::{ColumnName, ConnectionName, RelationName};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What is asked, one word per thing that a policy can tell apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $($(#[$doc])* $name,)+
        }

        impl Action {
            /// Every action, in declaration order.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name that policies and records use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

actions! {
    /// Open a session on a Postgres connection.
    PgConnect = "pg.connect",
    /// Read rows of a relation.
    PgSelect = "pg.select",
    /// COPY a relation or a query to the client.
    PgCopyTo = "pg.copy_to",
    /// Add rows.
    PgInsert = "pg.insert",
    /// COPY rows from the client into a relation.
    PgCopyFrom = "pg.copy_from",
    /// Change rows.
    PgUpdate = "pg.update",
    /// Remove rows.
    PgDelete = "pg.delete",
    /// Remove all rows.
    PgTruncate = "pg.truncate",
    /// LOCK a relation, or SELECT … FOR UPDATE.
    PgLock = "pg.lock",
    /// Create a table.
    PgCreateTable = "pg.create_table",
    /// Change a relation's definition.
    PgAlterTable = "pg.alter_table",
    /// Drop a table.
    PgDropTable = "pg.drop_table",
    /// Create an index.
    PgCreateIndex = "pg.create_index",
    /// Drop any object that is not a table.
    PgDropObject = "pg.drop_object",
    /// Create, replace or alter an object whose definition is code: view, function, rule, trigger, operator, cast, policy.
    PgDefineCode = "pg.define_code",
    /// Any other definition: schema, sequence, type, extension, statistics, comment.
    PgDefineOther = "pg.define_other",
    /// GRANT, REVOKE, roles, ownership, default privileges.
    PgGrant = "pg.grant",
    /// Maintenance: ANALYZE, VACUUM, REINDEX, CLUSTER, CHECKPOINT, REFRESH.
    PgMaintain = "pg.maintain",
    /// Call a function that Weir does not know to be harmless.
    PgCall = "pg.call",
    /// Run code from a string: DO, CALL.
    PgExecuteCode = "pg.execute_code",
    /// Set a session parameter that Weir does not know to be harmless.
    PgSet = "pg.set",
    /// LISTEN, NOTIFY, UNLISTEN.
    PgNotify = "pg.notify",
    /// Read a system catalogue or view that can carry values of other relations.
    PgReadStatistics = "pg.read_statistics",
    /// Anything that Weir could not classify.
    PgUnknown = "pg.unknown",
    /// A column's value reaches the client.
    PgReveal = "pg.reveal",
    /// A column is used where its value does not reach the client as such, but something derived from it can.
    PgInfer = "pg.infer",
    /// A hidden column is compared for equality with values that the client brings.
    PgMatch = "pg.match",
    /// Open a session on an MCP connection.
    McpConnect = "mcp.connect",
    /// Call a tool.
    McpCallTool = "mcp.call_tool",
    /// See a tool in a list.
    McpListTool = "mcp.list_tool",
    /// Read or subscribe to a resource.
    McpReadResource = "mcp.read_resource",
    /// Get a prompt.
    McpGetPrompt = "mcp.get_prompt",
    /// Complete an argument.
    McpComplete = "mcp.complete",
    /// A value of a detected class reaches the client.
    McpReveal = "mcp.reveal",
    /// The server uses the client's model.
    McpSampling = "mcp.sampling",
    /// The server asks the person behind the client.
    McpElicitation = "mcp.elicitation",
    /// The server asks which files the client works on.
    McpRoots = "mcp.roots",
    /// Any other MCP method.
    McpUnknown = "mcp.unknown",
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What it is asked on. All names are within one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// The connection itself, where nothing narrower is meant.
    Connection,
    /// A table, view, sequence or other relation.
    Table(RelationName),
    /// A column.
    Column(ColumnName),
    /// A function, by schema and name.
    Function(RelationName),
    /// A session parameter.
    Parameter(Box<str>),
    /// A tool of an MCP server.
    Tool(Box<str>),
    /// A resource of an MCP server, by URI.
    McpResource(Box<str>),
    /// A prompt of an MCP server.
    Prompt(Box<str>),
    /// A class that a detector recognises in a value: `ssn`, `payment_card`, `email`.
    DataClass(Box<str>),
}

/// One question to policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Access {
    /// What is asked.
    pub action: Action,
    /// On what.
    pub resource: Resource,
}

impl Access {
    /// The identifier that Cedar entities and records use: `prod-pg/public/customers`.
    #[must_use]
    pub fn resource_id(&self, connection: &ConnectionName) -> String {
        match &self.resource {
            Resource::Connection => connection.to_string(),
            Resource::Table(name) | Resource::Function(name) => {
                format!("{connection}/{}/{}", name.schema, name.name)
            }
            Resource::Column(name) => {
                format!(
                    "{connection}/{}/{}/{}",
                    name.relation.schema, name.relation.name, name.column
                )
            }
            Resource::Parameter(name)
            | Resource::Tool(name)
            | Resource::McpResource(name)
            | Resource::Prompt(name) => format!("{connection}/{name}"),
            Resource::DataClass(class) => class.to_string(),
        }
    }
}
