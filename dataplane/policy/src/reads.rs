use serde_json::Value;

/// What of the context a set of policies reads, so that nothing else is built, and so that a
/// cache knows what a verdict hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reads(u16);

macro_rules! reads {
    ($($(#[$doc:meta])* $name:ident = $attribute:literal @ $bit:literal,)+) => {
        impl Reads {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)+
            /// Everything.
            pub const ALL: Self = Self($((1 << $bit) |)+ 0);

            fn attribute(name: &str) -> Self {
                match name {
                    $($attribute => Self::$name,)+
                    // An attribute that this list does not know could be anything.
                    _ => Self::ALL,
                }
            }
        }
    };
}

reads! {
    /// The clock.
    CLOCK = "clock" @ 0,
    /// Where the caller is.
    SOURCE_IP = "source_ip" @ 1,
    /// Who has approved.
    APPROVALS = "approvals" @ 2,
    /// The attested workload.
    WORKLOAD = "workload" @ 3,
    /// The agent.
    AGENT = "agent" @ 4,
    /// The person.
    USER = "user" @ 5,
    /// Whether a transaction is open.
    IN_TRANSACTION = "in_transaction" @ 6,
    /// Whether the statement has a WHERE clause.
    HAS_WHERE = "has_where" @ 7,
    /// A tool's arguments.
    ARGUMENTS = "arguments" @ 8,
    /// The session's database.
    DATABASE = "database" @ 9,
    /// The session's role at the server.
    ROLE = "role" @ 10,
    /// The registered server.
    CONNECTION = "connection" @ 11,
    /// The tool whose answer holds a value.
    TOOL = "tool" @ 12,
    /// Attributes of the principal or of the resource (not of the context).
    ENTITIES = "\0entities" @ 13,
    /// The service account.
    SERVICE_ACCOUNT = "service_account" @ 14,
    /// The scopes of the caller's token.
    SCOPES = "scopes" @ 15,
}

impl Reads {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Both together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of `other` is read.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What a policy reads, from Cedar's JSON policy format.
    pub(crate) fn of_policy(json: &Value) -> Self {
        json.get("conditions")
            .map_or(Self::NONE, Self::of_expression)
    }

    fn of_expression(json: &Value) -> Self {
        match json {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Self::NONE,
            Value::Array(items) => items
                .iter()
                .fold(Self::NONE, |all, item| all.union(Self::of_expression(item))),
            Value::Object(members) => {
                members.iter().fold(Self::NONE, |all, (operator, operand)| {
                    all.union(Self::of_operator(operator, operand))
                })
            }
        }
    }

    fn of_operator(operator: &str, operand: &Value) -> Self {
        match operator {
            // `context.x` and `context has x` read x.
            "." | "has" => match (operand.pointer("/left/Var"), operand.get("attr")) {
                (Some(Value::String(variable)), Some(Value::String(attribute)))
                    if variable == "context" =>
                {
                    Self::attribute(attribute)
                }
                // An attribute of something else: of an entity, or of a record within the context.
                _ => Self::ENTITIES.union(Self::of_expression(operand)),
            },
            "getTag" | "hasTag" => Self::ENTITIES.union(Self::of_expression(operand)),
            // The context as a whole can only be compared, and then all of it counts.
            "Var" if operand.as_str() == Some("context") => Self::ALL,
            _ => Self::of_expression(operand),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn reads(condition: &str) -> Reads {
        let text = format!("permit(principal, action, resource) when {{ {condition} }};");
        let policy = cedar_policy::Policy::from_str(&text).expect(condition);
        Reads::of_policy(&policy.to_json().expect(condition))
    }

    #[test]
    fn what_a_condition_reads_is_seen() {
        for (condition, read) in [
            ("true", Reads::NONE),
            (
                "context.clock.hour < 18",
                Reads::CLOCK.union(Reads::ENTITIES),
            ),
            (
                "if context.clock.hour < 18 then true else false",
                Reads::CLOCK.union(Reads::ENTITIES),
            ),
            ("[context.clock].isEmpty()", Reads::CLOCK),
            ("context has clock", Reads::CLOCK),
            // Cedar's JSON has a list here, which we do not take apart: more than needed is safe.
            ("context has clock.hour", Reads::ALL),
            (
                "context.approvals.contains(Weir::Group::\"a\")",
                Reads::APPROVALS,
            ),
            ("context[\"has_where\"]", Reads::HAS_WHERE),
            ("principal.subject == \"clock\"", Reads::ENTITIES),
            ("principal == User::\"context\"", Reads::NONE),
            ("context == {}", Reads::ALL),
            ("[context].isEmpty()", Reads::ALL),
            ("context.never_heard_of", Reads::ALL),
            ("{\"a\": context.clock} == {\"a\": 1}", Reads::CLOCK),
        ] {
            assert_eq!(reads(condition), read, "{condition}");
        }
    }
}
