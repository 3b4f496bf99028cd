//! ORDER BY, GROUP BY and DISTINCT ON: where a number or a name can mean a result column.

use pg_raw_parse::nodes::SortBy;
use pg_raw_parse::{ConstValue, Node, list};

use super::scope::{Col, Meaning, Scope};
use super::{Walk, Walked};

impl Walk<'_> {
    /// ORDER BY: a result column's name comes before an input column's.
    pub(super) fn sort(
        &mut self,
        sorts: &list::CastNodeList<SortBy>,
        outputs: &[Col],
        scope: &Scope<'_>,
    ) -> Walked<()> {
        for sort in sorts {
            self.operators(sort.use_op());
            self.by_output_first(sort.node(), outputs, scope)?;
        }
        Ok(())
    }

    pub(super) fn by_output_first(
        &mut self,
        node: Node<'_>,
        outputs: &[Col],
        scope: &Scope<'_>,
    ) -> Walked<()> {
        if let Some(name) = single_name(node)
            && self.infer_named(name, outputs)
        {
            return Ok(());
        }
        self.by_position(node, outputs, scope)
    }

    /// GROUP BY: an input column of this level comes before a result column's name.
    pub(super) fn group(
        &mut self,
        node: Node<'_>,
        outputs: &[Col],
        scope: &Scope<'_>,
    ) -> Walked<()> {
        match node {
            Node::GroupingSet(set) => self.deeper(|walk| {
                set.content()
                    .iter()
                    .try_for_each(|node| walk.group(node, outputs, scope))
            }),
            Node::RowExpr(row) => self.deeper(|walk| {
                row.args()
                    .iter()
                    .try_for_each(|node| walk.group(node, outputs, scope))
            }),
            node => {
                let here = Scope {
                    from: scope.from.clone(),
                    parent: None,
                };
                if let Some(name) = single_name(node)
                    && !matches!(here.unqualified(name), Meaning::Column(_))
                    && self.infer_named(name, outputs)
                {
                    return Ok(());
                }
                self.by_position(node, outputs, scope)
            }
        }
    }

    fn infer_named(&mut self, name: &str, outputs: &[Col]) -> bool {
        let named: Vec<&Col> = outputs
            .iter()
            .filter(|column| &*column.name == name)
            .collect();
        for column in &named {
            self.infer(&column.carries);
        }
        !named.is_empty()
    }

    fn by_position(&mut self, node: Node<'_>, outputs: &[Col], scope: &Scope<'_>) -> Walked<()> {
        let Node::A_Const(constant) = node else {
            return self.expression(node, scope);
        };
        if let Some(ConstValue::Integer(position)) = constant.val() {
            let at = usize::try_from(position)
                .ok()
                .and_then(|position| position.checked_sub(1));
            match at.and_then(|at| outputs.get(at)) {
                Some(column) => self.infer(&column.carries),
                // Behind an unknown number of columns the position may be anyone's.
                None if self.is_opaque => self.infer_all(outputs),
                None => {}
            }
        }
        Ok(())
    }
}

fn single_name(node: Node<'_>) -> Option<&str> {
    let Node::ColumnRef(reference) = node else {
        return None;
    };
    let fields = reference.fields();
    (fields.len() == 1).then(|| fields.first().and_then(Node::as_str))?
}
