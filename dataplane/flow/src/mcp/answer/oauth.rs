//! What a client is shown of an authorization server's answers.

use weir_mcp::oauth;

use super::*;

impl Answering {
    pub(super) fn on_oauth_head(&mut self, endpoint: Endpoint, head: ResponseHead) {
        self.status = if endpoint.shows(head.status) {
            head.status
        } else {
            502
        };
        self.phase = Phase::OAuth {
            endpoint,
            body: Vec::new(),
        };
        self.from = Some(head);
    }

    pub(super) fn finish_oauth(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        head: Option<&ResponseHead>,
        endpoint: Endpoint,
        body: &[u8],
    ) -> Result<(), End> {
        let is_shown = head.is_some_and(|head| head.status == self.status);
        let shown = head
            .filter(|_| is_shown)
            .and_then(|head| shown_of(self.status, endpoint, head, body));
        let masks = desk
            .verdicts
            .masks(&desk.context, env, &self.exchange.caller, "");
        let shown = shown.filter(|shown| masks.find_nothing(&shown.searched));
        let Some(shown) = shown else {
            self.note_dropped(desk, env, "no answer of OAuth, or one with masked values");
            if self.status < 400 {
                self.status = 502;
            }
            self.keep_rest(desk, env)?;
            self.write_bare(desk, env, None);
            return Ok(());
        };
        self.shown_bytes = shown.body.len() as u64;
        self.keep_rest(desk, env)?;
        let fields = head.map(|head| extra(endpoint, head)).unwrap_or_default();
        let media = shown.media;
        let bytes = shown.body.len();
        let told = oauth::answer(self.status, media, bytes, self.closes(), &fields);
        self.write(env, answer(&told, None));
        self.write(env, shown.body);
        Ok(())
    }
}

struct Page {
    media: Option<&'static str>,
    body: Vec<u8>,
    searched: String,
}

fn shown_of(status: u16, endpoint: Endpoint, head: &ResponseHead, body: &[u8]) -> Option<Page> {
    let nothing = || Page {
        media: None,
        body: Vec::new(),
        searched: String::new(),
    };
    let media = head.fields.media_type();
    match (endpoint, status) {
        (Endpoint::Authorization, 302 | 303 | 307) => {
            let location = head.fields.get("location").and_then(oauth::location)?;
            Some(Page {
                // Codes and states are random.
                searched: location.split('?').next()?.to_owned(),
                ..nothing()
            })
        }
        (Endpoint::Authorization, _) if media.as_deref() == Some("text/html") => Some(Page {
            media: Some("text/html; charset=utf-8"),
            body: body.to_vec(),
            searched: String::from_utf8(body.to_vec()).ok()?,
        }),
        (Endpoint::Revocation, 200) => Some(nothing()),
        (
            Endpoint::Authorization
            | Endpoint::Token
            | Endpoint::Registration
            | Endpoint::Revocation,
            _,
        ) => {
            let shown = oauth::shown(endpoint, body)?;
            Some(Page {
                media: Some("application/json"),
                body: shown.body,
                searched: shown.searched,
            })
        }
    }
}

/// Fields beside the content: where a redirect leads, and the cookies of a login page, which are
/// between the browser and the server.
fn extra(endpoint: Endpoint, head: &ResponseHead) -> Vec<(&'static str, &str)> {
    let fields = head.fields.iter();
    let shown = fields.filter_map(|(name, value)| match (endpoint, name) {
        (Endpoint::Authorization, "location") => Some(("Location", oauth::location(value)?)),
        (Endpoint::Authorization, "set-cookie") => Some(("Set-Cookie", value)),
        (
            Endpoint::Authorization
            | Endpoint::Token
            | Endpoint::Registration
            | Endpoint::Revocation,
            _,
        ) => None,
    });
    shown.collect()
}
