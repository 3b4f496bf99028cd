use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

/// The answer to AuthenticationMD5Password: `md5` and, in hexadecimal, the digest of the salted
/// digest of password and user (protocol chapter "Start-up").
#[must_use]
pub fn md5_response(user: &str, password: &str, salt: [u8; 4]) -> Zeroizing<String> {
    let inner = Zeroizing::new(hex(Md5::new().chain_update(password).chain_update(user)));
    let outer = hex(Md5::new().chain_update(inner.as_bytes()).chain_update(salt));
    Zeroizing::new(format!("md5{outer}"))
}

fn hex(digest: Md5) -> String {
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
