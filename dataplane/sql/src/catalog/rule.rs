//! Reads what we need of a `pg_node_tree`: lineage of a view's columns, whole-row
//! references, attribute numbers and functions.

use std::collections::BTreeSet;

use weir_facts::{ColumnId, RelationOid};

/// What a stored query or expression says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeTree {
    /// Bare origins of the outermost target list, by position from 1; no entry for an expression.
    pub(super) origins: Vec<(i16, ColumnId)>,
    /// Attribute numbers of every variable; 0 is a whole row.
    pub(super) attnums: BTreeSet<i16>,
    /// Functions that it calls, itself or through operators and aggregates.
    pub(super) functions: BTreeSet<u32>,
}

/// Splits on white space, braces and parentheses; a backslash takes the next byte into the token.
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start();
        let mut escaped = false;
        let end = self.rest.char_indices().find_map(|(at, c)| {
            if escaped {
                escaped = false;
                return None;
            }
            escaped = c == '\\';
            let delimits = matches!(c, '{' | '}' | '(' | ')') || c.is_ascii_whitespace();
            delimits.then_some(at)
        });
        let end = match end {
            Some(0) => 1,
            Some(at) => at,
            None => self.rest.len(),
        };
        let (token, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }
}

/// One entry of the outermost target list while it is read.
#[derive(Default)]
struct Target {
    resno: i16,
    table: u32,
    column: i16,
    junk: bool,
}

impl NodeTree {
    /// Reads `text` as far as it goes; text of another shape yields nothing, and then every
    /// column counts as an expression.
    pub(super) fn read(text: &str) -> Self {
        let mut tree = Self::default();
        let mut reader = Reader::default();
        let tokens = Tokens { rest: text };
        for token in tokens {
            reader.take(token, &mut tree);
        }
        tree
    }
}

#[derive(Default)]
struct Reader<'a> {
    braces: usize,
    key: &'a str,
    in_targets: bool,
    target: Target,
}

impl<'a> Reader<'a> {
    fn take(&mut self, token: &'a str, tree: &mut NodeTree) {
        match token {
            "{" => {
                self.braces += 1;
                self.key = "";
                if self.in_targets && self.braces == 2 {
                    self.target = Target::default();
                }
            }
            "}" => {
                if self.in_targets && self.braces == 2 {
                    self.finish(tree);
                }
                self.braces = self.braces.saturating_sub(1);
                self.key = "";
            }
            "(" | ")" => {}
            _ if token.starts_with(':') => {
                self.key = token;
                if self.braces == 1 {
                    self.in_targets = token == ":targetList";
                }
            }
            value => self.value(value, tree),
        }
    }

    fn value(&mut self, value: &str, tree: &mut NodeTree) {
        match self.key {
            ":varattno" => tree.attnums.extend(value.parse::<i16>().ok()),
            ":funcid" | ":opfuncid" | ":aggfnoid" | ":winfnoid" => {
                tree.functions
                    .extend(value.parse::<u32>().ok().filter(|oid| *oid != 0));
            }
            _ => {}
        }
        if self.in_targets && self.braces == 2 {
            match self.key {
                ":resno" => self.target.resno = value.parse().unwrap_or(0),
                ":resorigtbl" => self.target.table = value.parse().unwrap_or(0),
                ":resorigcol" => self.target.column = value.parse().unwrap_or(0),
                ":resjunk" => self.target.junk = value == "true",
                _ => {}
            }
        }
        self.key = "";
    }

    fn finish(&mut self, tree: &mut NodeTree) {
        let Target {
            resno,
            table,
            column,
            junk,
        } = self.target;
        if resno > 0 && table != 0 && column != 0 && !junk {
            tree.origins.push((
                resno,
                ColumnId {
                    relation: RelationOid(table),
                    attnum: column,
                },
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_target_list_gives_origins() {
        let text = "({QUERY :commandType 1 :cteList ({QUERY :targetList ({TARGETENTRY :expr {VAR :varattno 9} :resno 1 \
                    :resorigtbl 5 :resorigcol 9 :resjunk false})}) :targetList ({TARGETENTRY :expr {VAR :varno 1 :varattno 3 \
                    :location 4} :resno 1 :resname tax\\ re\\{f :ressortgroupref 0 :resorigtbl 16401 :resorigcol 3 :resjunk false} \
                    {TARGETENTRY :expr {FUNCEXPR :funcid 871 :args ({VAR :varattno 0})} :resno 2 :resorigtbl 0 :resorigcol 0 \
                    :resjunk false}) :rowMarks <>})";
        let tree = NodeTree::read(text);
        assert_eq!(
            tree.origins,
            [(
                1,
                ColumnId {
                    relation: RelationOid(16401),
                    attnum: 3
                }
            )]
        );
        assert_eq!(tree.attnums, BTreeSet::from([0, 3, 9]));
        assert_eq!(tree.functions, BTreeSet::from([871]));
    }

    #[test]
    fn text_of_another_shape_gives_no_origins() {
        for text in [
            "",
            "}}}}{",
            "(((:targetList",
            "\\",
            "{QUERY :targetList ({TARGETENTRY :resno x :resorigtbl 1",
        ] {
            assert!(NodeTree::read(text).origins.is_empty(), "{text:?}");
        }
    }
}
