//! What single words of the command line mean.

fn word<T: serde::de::DeserializeOwned>(text: &str, known: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| format!("known are {known}"))
}

pub(super) fn role(text: &str) -> Result<weir_api::http::Role, String> {
    word(text, "admin, policy-author, auditor, operator, viewer")
}

pub(super) fn scope(text: &str) -> Result<weir_api::http::Scope, String> {
    word(text, "api, read, connect")
}

pub(super) fn kind(text: &str) -> Result<weir_api::http::Kind, String> {
    word(text, "postgres, mcp")
}

pub(super) fn authorization(text: &str) -> Result<weir_api::http::Authorization, String> {
    word(text, "weir, server")
}

pub(super) fn login_rule(text: &str) -> Result<weir_api::http::LoginRule, String> {
    let known = "certificate, secret, token, oauthbearer, workload";
    let (user, method) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("give USER=METHOD; methods are {known}"))?;
    Ok(weir_api::http::LoginRule {
        user: user.to_owned(),
        method: word(method, known)?,
    })
}

pub(super) fn tool_choice(text: &str) -> Result<(String, String), String> {
    let (name, definition) = text
        .rsplit_once('@')
        .ok_or("give TOOL@DEFINITION, as weir tools show prints it")?;
    Ok((name.to_owned(), definition.to_owned()))
}

pub(super) fn tls(text: &str) -> Result<weir_api::http::Tls, String> {
    word(text, "disable, prefer, require, verify-full")
}

/// Seconds of `90s`, `15m`, `8h`, `30d`.
pub(super) fn duration(text: &str) -> Result<u64, String> {
    let wrong = || "give a number and a unit: 90s, 15m, 8h, 30d".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let scale: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(scale))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(
            [duration("90s"), duration("8h"), duration("30d")],
            [Ok(90), Ok(28_800), Ok(2_592_000)]
        );
        for wrong in ["", "d", "5", "-1d", "1w", "99999999999999999999d", "é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
