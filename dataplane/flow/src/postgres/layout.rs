//! A result as the server describes it, held against what lineage predicted, and the cells
//! to edit in its rows.

use std::sync::Arc;

use weir_facts::{ColumnId, MaskRule, RelationOid, Reveal};
use weir_mask::detect::ClassSet;
use weir_mask::{MaskKey, Masked, Net};
use weir_postgres::message::{CopyResponse, Field, MessageError};
use weir_postgres::rows::{self, CopyHeader, CopyRows, Edited, Format};
use weir_sql::{CopyFormat, OutputColumn, Sensitive, Statement, StatementKind};

/// The cells of a result that are not shown as they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// How many columns there are.
    pub(crate) count: usize,
    edits: Vec<Edit>,
    /// What columns without a label are searched for.
    net: Option<Arc<Net>>,
    /// How a COPY writes them, and where in it we are.
    copy: Option<CopyRows>,
}

/// One column that is not passed on unseen.
#[derive(Debug, PartialEq, Eq)]
struct Edit {
    column: usize,
    how: How,
    type_oid: u32,
    format: Format,
}

#[derive(Debug, PartialEq, Eq)]
enum How {
    Mask(MaskRule),
    Search,
}

/// Which columns are searched.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub(crate) sensitive: &'a Sensitive,
    pub(crate) net: Option<&'a Arc<Net>>,
}

impl Search<'_> {
    /// The edit of a clear column, if it is searched: those that a label shows are not.
    fn edit(
        self,
        column: usize,
        origins: &[ColumnId],
        type_oid: u32,
        format: Format,
    ) -> Option<Edit> {
        let is_shown = || {
            let mut origins = origins.iter();
            origins.len() > 0 && origins.all(|origin| self.sensitive.is_shown_by_label(*origin))
        };
        let searched = self.net.is_some() && Net::searches(type_oid) && !is_shown();
        searched.then_some(Edit {
            column,
            how: How::Search,
            type_oid,
            format,
        })
    }
}

/// The server describes something else than lineage predicted. Nothing of the result may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    #[error("{actual} columns where {predicted} were predicted")]
    Count { predicted: usize, actual: usize },
    #[error("column {column} comes from another place than predicted")]
    Origin { column: usize },
    #[error("column {column} has another name than predicted")]
    Name { column: usize },
    #[error("column {column} is sensitive and was not predicted to be")]
    Unpredicted { column: usize },
    #[error("COPY of sensitive relations in a form that was not predicted")]
    Form,
}

impl Layout {
    /// Checks a description against the prediction for a statement that touches sensitive relations.
    pub(crate) fn predicted<'a>(
        predicted: &[OutputColumn],
        (count, described): (usize, impl Iterator<Item = Field<'a>>),
        search: &Search<'_>,
    ) -> Result<Self, Mismatch> {
        check_count(predicted, count)?;
        let mut edits = Vec::new();
        for (column, (wanted, found)) in predicted.iter().zip(described).enumerate() {
            if !wanted.origins.contains(&origin(&found)) {
                return Err(Mismatch::Origin { column });
            }
            if wanted.name.as_bytes() != found.name {
                return Err(Mismatch::Name { column });
            }
            let clear = || search.edit(column, &[origin(&found)], found.type_oid, found.format);
            edits.extend(edit_of(
                column,
                wanted,
                found.type_oid,
                found.format,
                clear,
            )?);
        }
        Ok(Self::new(count, edits, search))
    }

    /// Checks the response to a COPY against the prediction.
    pub(crate) fn copied(
        statement: &Statement,
        response: CopyResponse,
        search: &Search<'_>,
    ) -> Result<Self, Mismatch> {
        let (count, format) = (usize::from(response.columns), response.format);
        let mut edits = Vec::new();
        let names = match &statement.columns {
            Some(predicted) if statement.sensitive || predicted.len() == count => {
                check_count(predicted, count)?;
                for (column, wanted) in predicted.iter().enumerate() {
                    let clear = || search.edit(column, &wanted.origins, wanted.type_oid, format);
                    edits.extend(edit_of(column, wanted, wanted.type_oid, format, clear)?);
                }
                let names = predicted.iter().map(|column| column.name.as_bytes().into());
                if statement.sensitive {
                    CopyHeader::Names(names.collect())
                } else {
                    CopyHeader::Unchecked
                }
            }
            None if statement.sensitive => return Err(Mismatch::Form),
            // Nothing is masked in it; what there is to search, and of which type, is not known.
            Some(_) | None => {
                let unknown = (0..count).filter_map(|column| search.edit(column, &[], 0, format));
                edits.extend(unknown);
                CopyHeader::Unchecked
            }
        };
        let mut layout = Self::new(count, edits, search);
        if !layout.is_clear() {
            layout.copy = Some(copy_rows(&statement.kind, count, format, names)?);
        }
        Ok(layout)
    }

    fn new(count: usize, edits: Vec<Edit>, search: &Search<'_>) -> Self {
        Self {
            count,
            edits,
            net: search.net.cloned(),
            copy: None,
        }
    }

    /// Whether rows are to be edited.
    pub(crate) const fn is_clear(&self) -> bool {
        self.edits.is_empty()
    }

    /// Checks that a result that was thought clear has no sensitive column after all.
    pub(crate) fn clear<'a>(
        (count, described): (usize, impl Iterator<Item = Field<'a>>),
        search: &Search<'_>,
    ) -> Result<Self, Mismatch> {
        let sensitive = search.sensitive;
        let mut edits = Vec::new();
        for (column, found) in described.enumerate() {
            let origin = origin(&found);
            let whole_row = origin.attnum == 0 && origin.relation != RelationOid(0);
            if sensitive.mark(origin).is_some() || (whole_row && sensitive.holds(origin.relation)) {
                return Err(Mismatch::Unpredicted { column });
            }
            edits.extend(search.edit(column, &[origin], found.type_oid, found.format));
        }
        Ok(Self::new(count, edits, search))
    }

    /// Masks the next CopyData.
    ///
    /// # Errors
    /// [`MessageError`] if it is not one whole row as it was predicted.
    pub(crate) fn edit_copied(
        &mut self,
        key: &MaskKey,
        body: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<Edited, MessageError> {
        let Self {
            edits, net, copy, ..
        } = self;
        let Some(rows) = copy else {
            // Whole frames are only asked for where rows are edited.
            return Err(MessageError::CopyRow);
        };
        let columns = edits.iter().map(|edit| edit.column);
        rows.edit(
            body,
            columns,
            |column, value| masked(edits, net.as_deref(), column, key, value),
            out,
        )
    }

    /// The classes that were found in searched columns since this was asked last.
    pub(crate) fn take_seen(&self) -> ClassSet {
        let net = self.net.as_ref();
        net.map_or(ClassSet::NONE, |net| net.take_seen())
    }

    /// The columns with a mask, ascending.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.edits.iter().map(|edit| edit.column)
    }

    /// Masks a column's value.
    pub(crate) fn edit(&self, column: usize, key: &MaskKey, value: &mut [u8]) -> rows::Edit {
        masked(&self.edits, self.net.as_deref(), column, key, value)
    }
}

fn masked(
    edits: &[Edit],
    net: Option<&Net>,
    column: usize,
    key: &MaskKey,
    value: &mut [u8],
) -> rows::Edit {
    // A column that is edited without a mask is a broken invariant: nothing is shown.
    let found = edits.binary_search_by_key(&column, |edit| edit.column);
    let Some(edit) = found.ok().and_then(|at| edits.get(at)) else {
        return rows::Edit::Null;
    };
    let masked = match (&edit.how, edit.format, net) {
        (How::Mask(rule), Format::Text, _) => weir_mask::text(rule, key, edit.type_oid, value),
        (How::Mask(rule), Format::Binary, _) => weir_mask::binary(rule, key, edit.type_oid, value),
        (How::Search, Format::Text, Some(net)) => net.text(key, edit.type_oid, value),
        (How::Search, Format::Binary, Some(net)) => net.binary(key, edit.type_oid, value),
        (How::Search, _, None) => Masked::Null,
    };
    match masked {
        Masked::InPlace => rows::Edit::InPlace,
        Masked::Replaced(bytes) => rows::Edit::Replace(bytes),
        Masked::Null => rows::Edit::Null,
    }
}

fn check_count(predicted: &[OutputColumn], actual: usize) -> Result<(), Mismatch> {
    if actual == predicted.len() {
        return Ok(());
    }
    Err(Mismatch::Count {
        predicted: predicted.len(),
        actual,
    })
}

/// What is done with a predicted column; `clear` says what with one that is shown.
fn edit_of(
    column: usize,
    wanted: &OutputColumn,
    type_oid: u32,
    format: Format,
    clear: impl FnOnce() -> Option<Edit>,
) -> Result<Option<Edit>, Mismatch> {
    match &wanted.reveal {
        Reveal::Clear => Ok(clear()),
        Reveal::Mask(rule, _) => Ok(Some(Edit {
            column,
            how: How::Mask(rule.clone()),
            type_oid,
            format,
        })),
        Reveal::Deny(_) => Err(Mismatch::Unpredicted { column }),
    }
}

/// The reader of a COPY's rows, in which `names` are those of a header.
fn copy_rows(
    kind: &StatementKind,
    count: usize,
    answered: Format,
    names: CopyHeader,
) -> Result<CopyRows, Mismatch> {
    let StatementKind::Copy {
        form: Some(form), ..
    } = kind
    else {
        return Err(Mismatch::Form);
    };
    let (format, rows) = match form.format.clone() {
        CopyFormat::Text { delimiter, null } => (
            Format::Text,
            rows::CopyForm::Text {
                delimiter,
                null: null.as_bytes().into(),
            },
        ),
        CopyFormat::Csv {
            delimiter,
            null,
            quote,
            escape,
            quoted,
        } => (
            Format::Text,
            rows::CopyForm::Csv {
                delimiter,
                null: null.as_bytes().into(),
                quote,
                escape,
                quoted,
            },
        ),
        CopyFormat::Binary => (Format::Binary, rows::CopyForm::Binary),
    };
    if format != answered {
        return Err(Mismatch::Form);
    }
    let header = if form.header {
        names
    } else {
        CopyHeader::Absent
    };
    Ok(CopyRows::new(rows, count, header))
}

fn origin(field: &Field<'_>) -> ColumnId {
    ColumnId {
        relation: RelationOid(field.relation_oid),
        attnum: field.attnum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(name: &[u8], relation_oid: u32, attnum: i16) -> Field<'_> {
        Field {
            name,
            relation_oid,
            attnum,
            type_oid: 25,
            type_size: -1,
            type_modifier: -1,
            format: Format::Text,
        }
    }

    #[test]
    fn a_description_that_is_not_the_predicted_one_lays_nothing_out() {
        let origin = |attnum| ColumnId {
            relation: RelationOid(1001),
            attnum,
        };
        let predicted = [OutputColumn {
            name: "ssn".into(),
            origins: vec![origin(3)],
            type_oid: 25,
            reveal: Reveal::Clear,
        }];
        let (sensitive, net) = (Sensitive::default(), None);
        let search = Search {
            sensitive: &sensitive,
            net,
        };
        let lay = |fields: Vec<Field<'_>>| {
            let described = (fields.len(), fields.into_iter());
            Layout::predicted(&predicted, described, &search).err()
        };
        assert_eq!(lay(vec![described(b"ssn", 1001, 3)]), None);
        for (fields, mismatch) in [
            (
                vec![described(b"ssn", 1001, 4)],
                Mismatch::Origin { column: 0 },
            ),
            (
                vec![described(b"ssn", 1002, 3)],
                Mismatch::Origin { column: 0 },
            ),
            (
                vec![described(b"ssn", 0, 0)],
                Mismatch::Origin { column: 0 },
            ),
            (
                vec![described(b"name", 1001, 3)],
                Mismatch::Name { column: 0 },
            ),
            (
                vec![described(b"ssn", 1001, 3), described(b"ssn", 1001, 3)],
                Mismatch::Count {
                    predicted: 1,
                    actual: 2,
                },
            ),
        ] {
            assert_eq!(lay(fields), Some(mismatch));
        }
    }
}
