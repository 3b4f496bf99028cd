//! Names of columns, relations and functions, as `masks.toml` writes them.

use weir_facts::{ColumnName, RelationName};

use super::Harmless;

/// `schema.table.column`; a part in double quotes may have dots, and `""` in it is a quote.
pub(in crate::bundle) fn column_name(text: &str) -> Option<ColumnName> {
    match parts(text)?.as_slice() {
        [schema, name, column] => Some(ColumnName {
            relation: RelationName {
                schema: schema.as_str().into(),
                name: name.as_str().into(),
            },
            column: column.as_str().into(),
        }),
        _ => None,
    }
}

/// `schema.name`, quoted likewise.
pub(in crate::bundle) fn relation_name(text: &str) -> Option<RelationName> {
    match parts(text)?.as_slice() {
        [schema, name] => Some(RelationName {
            schema: schema.as_str().into(),
            name: name.as_str().into(),
        }),
        _ => None,
    }
}

pub(super) fn function(text: &str) -> Option<Harmless> {
    let (name, arguments) = text.strip_suffix(')')?.split_once('(')?;
    let arguments: Vec<&str> = match arguments.trim() {
        "" => Vec::new(),
        listed => listed.split(',').map(str::trim).collect(),
    };
    let is_type = |name: &&str| !name.is_empty() && !name.contains(['(', ')']);
    let name = relation_name(name.trim()).filter(|_| arguments.iter().all(is_type))?;
    Some(Harmless {
        name,
        arguments: arguments.join(", ").into(),
    })
}

fn parts(text: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = part(rest)?;
        if part.is_empty() {
            return None;
        }
        found.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(found),
        }
    }
}

fn part(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        let (part, after) = text.split_at_checked(end)?;
        return (!part.contains('"')).then(|| (part.to_owned(), after));
    };
    let mut part = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Some((part, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_three_names_of_which_any_may_be_quoted() {
        let read = |text: &str| column_name(text).map(|name| name.to_string());
        assert_eq!(
            read("public.customers.ssn").as_deref(),
            Some("public.customers.ssn")
        );
        let dotted = column_name("\"a.b\".c.\"d\"\"e\"").expect("quoted");
        assert_eq!(
            (
                &*dotted.relation.schema,
                &*dotted.relation.name,
                &*dotted.column
            ),
            ("a.b", "c", "d\"e")
        );
        for wrong in [
            "",
            "a",
            "a.b",
            "a.b.c.d",
            "a..c",
            "a.b.",
            "\"a.b.c",
            "a.b\"c\".d",
            "\"a\"b.c.d",
        ] {
            assert_eq!(column_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_function_is_a_name_and_its_argument_types() {
        let read = |text: &str| function(text).map(|it| format!("{}({})", it.name, it.arguments));
        for (text, expected) in [
            ("public.f()", "public.f()"),
            (
                "public.f( text,character varying )",
                "public.f(text, character varying)",
            ),
            ("\"a.b\".f(integer[])", "a.b.f(integer[])"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }
}
