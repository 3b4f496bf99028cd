//! A result as the server describes it, held against what lineage predicted, and the cells
//! to edit in its rows.

use weir_facts::{ColumnId, MaskRule, RelationOid, Reveal};
use weir_mask::{MaskKey, Masked};
use weir_postgres::message::{CopyResponse, Field, MessageError};
use weir_postgres::rows::{self, CopyHeader, CopyRows, Edited, Format};
use weir_sql::{CopyFormat, OutputColumn, Sensitive, Statement, StatementKind};

/// The cells of a result that are not shown as they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// How many columns there are.
    pub(crate) count: usize,
    edits: Vec<Edit>,
    /// How a COPY writes them, and where in it we are.
    copy: Option<CopyRows>,
}

/// One column's mask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    column: usize,
    rule: MaskRule,
    type_oid: u32,
    format: Format,
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
    ) -> Result<Self, Mismatch> {
        if count != predicted.len() {
            return Err(Mismatch::Count {
                predicted: predicted.len(),
                actual: count,
            });
        }
        let mut edits = Vec::new();
        for (column, (wanted, found)) in predicted.iter().zip(described).enumerate() {
            if !wanted.origins.contains(&origin(&found)) {
                return Err(Mismatch::Origin { column });
            }
            if wanted.name.as_bytes() != found.name {
                return Err(Mismatch::Name { column });
            }
            match &wanted.reveal {
                Reveal::Clear => {}
                Reveal::Mask(rule, _) => {
                    edits.push(Edit {
                        column,
                        rule: rule.clone(),
                        type_oid: found.type_oid,
                        format: found.format,
                    });
                }
                Reveal::Deny(_) => return Err(Mismatch::Unpredicted { column }),
            }
        }
        Ok(Self {
            count,
            edits,
            copy: None,
        })
    }

    /// Checks the response to a COPY against the prediction.
    pub(crate) fn copied(statement: &Statement, response: CopyResponse) -> Result<Self, Mismatch> {
        let count = usize::from(response.columns);
        if !statement.sensitive {
            return Ok(Self {
                count,
                edits: Vec::new(),
                copy: None,
            });
        }
        let predicted = statement.columns.as_ref().ok_or(Mismatch::Form)?;
        if count != predicted.len() {
            return Err(Mismatch::Count {
                predicted: predicted.len(),
                actual: count,
            });
        }
        let mut edits = Vec::new();
        for (column, wanted) in predicted.iter().enumerate() {
            match &wanted.reveal {
                Reveal::Clear => {}
                Reveal::Mask(rule, _) => edits.push(Edit {
                    column,
                    rule: rule.clone(),
                    type_oid: wanted.type_oid,
                    format: response.format,
                }),
                Reveal::Deny(_) => return Err(Mismatch::Unpredicted { column }),
            }
        }
        let copy = if edits.is_empty() {
            None
        } else {
            Some(copy_rows(&statement.kind, predicted, response.format)?)
        };
        Ok(Self { count, edits, copy })
    }

    /// Whether rows are to be edited.
    pub(crate) const fn is_clear(&self) -> bool {
        self.edits.is_empty()
    }

    /// Checks that a result that was thought clear has no sensitive column after all.
    pub(crate) fn clear<'a>(
        sensitive: &Sensitive,
        (count, described): (usize, impl Iterator<Item = Field<'a>>),
    ) -> Result<Self, Mismatch> {
        for (column, found) in described.enumerate() {
            let origin = origin(&found);
            let whole_row = origin.attnum == 0 && origin.relation != RelationOid(0);
            if sensitive.mark(origin).is_some() || (whole_row && sensitive.holds(origin.relation)) {
                return Err(Mismatch::Unpredicted { column });
            }
        }
        Ok(Self {
            count,
            edits: Vec::new(),
            copy: None,
        })
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
        let Self { edits, copy, .. } = self;
        let Some(rows) = copy else {
            // Whole frames are only asked for where rows are edited.
            return Err(MessageError::CopyRow);
        };
        let columns = edits.iter().map(|edit| edit.column);
        rows.edit(
            body,
            columns,
            |column, value| masked(edits, column, key, value),
            out,
        )
    }

    /// The columns with a mask, ascending.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.edits.iter().map(|edit| edit.column)
    }

    /// Masks a column's value.
    pub(crate) fn edit(&self, column: usize, key: &MaskKey, value: &mut [u8]) -> rows::Edit {
        masked(&self.edits, column, key, value)
    }
}

fn masked(edits: &[Edit], column: usize, key: &MaskKey, value: &mut [u8]) -> rows::Edit {
    // A column that is edited without a mask is a broken invariant: nothing is shown.
    let Some(edit) = edits.iter().find(|edit| edit.column == column) else {
        return rows::Edit::Null;
    };
    let masked = match edit.format {
        Format::Text => weir_mask::text(&edit.rule, key, edit.type_oid, value),
        Format::Binary => weir_mask::binary(&edit.rule, key, edit.type_oid, value),
    };
    match masked {
        Masked::InPlace => rows::Edit::InPlace,
        Masked::Replaced(bytes) => rows::Edit::Replace(bytes),
        Masked::Null => rows::Edit::Null,
    }
}

/// The reader of a COPY's rows. The names of its header are checked against the prediction.
fn copy_rows(
    kind: &StatementKind,
    predicted: &[OutputColumn],
    answered: Format,
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
    let names = predicted.iter().map(|column| column.name.as_bytes().into());
    let header = if form.header {
        CopyHeader::Names(names.collect())
    } else {
        CopyHeader::Absent
    };
    Ok(CopyRows::new(rows, predicted.len(), header))
}

fn origin(field: &Field<'_>) -> ColumnId {
    ColumnId {
        relation: RelationOid(field.relation_oid),
        attnum: field.attnum,
    }
}
