use crate::message::{MessageError, RowDescription};

/// Writes a RowDescription's frame anew, with the predicted names in the place of the server's and
/// with type modifiers only where `keeps_modifier` says so: names and modifiers can be made to carry
/// values.
///
/// # Errors
/// [`MessageError`]; [`MessageError::FormatCount`] if there are more or fewer names than columns.
pub fn rename<S: AsRef<[u8]>>(
    body: &[u8],
    names: &[S],
    keeps_modifier: impl Fn(usize) -> bool,
    out: &mut Vec<u8>,
) -> Result<(), MessageError> {
    let description = RowDescription::parse(body)?;
    if description.len() != names.len() {
        return Err(MessageError::FormatCount);
    }
    let fields =
        description
            .fields()
            .zip(names)
            .enumerate()
            .map(|(position, (mut field, name))| {
                field.name = name.as_ref();
                if !keeps_modifier(position) {
                    field.type_modifier = -1;
                }
                field
            });
    RowDescription::encode(fields, out);
    Ok(())
}
