//! Masked values that stay what clients hold them against: of their type, and where the tool's
//! `outputSchema` is known, admitted by it.

use std::collections::HashMap;

use weir_facts::{MaskRule, Step};
use weir_mcp::json::{Kind, Value, quote};
use weir_mcp::limits::REACHED_PARTS_MAX;
use weir_mcp::reveal::{Offer, Offered, Shown};
use weir_mcp::schema::{Effort, Proposal, Reach, Scalar, Schema, TypeSet};

/// Nothing fits.
pub(super) struct Unfit;

/// What a message's structured content must stay.
pub(super) struct Form<'a> {
    content: Option<Value<'a>>,
    schema: Option<&'a Schema>,
    /// Read when a value is masked for the first time: most messages have none.
    spoken: Option<Spoken<'a>>,
    /// Whether a mask of the value at hand promises more than to hide its characters.
    hides_length: bool,
}

/// What of a schema speaks of each value: reaches by number, and the number by position.
struct Spoken<'a> {
    schema: &'a Schema,
    /// Servers choose schemas and answers: what is done to hold one against the other has an end.
    effort: Effort,
    reaches: Vec<Reach>,
    /// Parts of all of them.
    reached: usize,
    known: HashMap<Reach, usize>,
    named: HashMap<(usize, Box<str>), usize>,
    counted: HashMap<(usize, usize), usize>,
    of: Vec<(usize, usize)>,
}

/// What speaks of one value.
#[derive(Clone, Copy)]
struct There<'a> {
    schema: &'a Schema,
    reach: &'a Reach,
    effort: &'a Effort,
}

impl<'a> Form<'a> {
    pub(super) const fn of(content: Option<Value<'a>>, schema: Option<&'a Schema>) -> Self {
        Self {
            content,
            schema,
            spoken: None,
            hides_length: false,
        }
    }

    /// Whether a value is held against anything.
    pub(super) fn holds(&self, index: usize) -> bool {
        self.content
            .is_some_and(|content| (content.index()..content.next_index()).contains(&index))
    }

    /// Another value is at hand.
    pub(super) const fn begin(&mut self) {
        self.hides_length = false;
    }

    /// A mask is applied to the value at hand.
    pub(super) fn note(&mut self, rule: &MaskRule) {
        self.hides_length |= match rule {
            MaskRule::Null | MaskRule::Fixed(_) | MaskRule::Hash => true,
            MaskRule::KeepFirst(_)
            | MaskRule::KeepLast(_)
            | MaskRule::Redact
            | MaskRule::PartialEmail
            | MaskRule::DateYear
            | MaskRule::Digits => false,
        };
    }

    /// What of `shown` may stand in place of `text`.
    pub(super) fn fitted(
        &mut self,
        offer: &Offer<'_>,
        text: &str,
        shown: Shown,
    ) -> Result<Shown, Unfit> {
        let hides_length = self.hides_length;
        let (Some(schema), Some(content)) = (self.schema, self.content) else {
            return Ok(of_kind(offer.kind, shown));
        };
        let spoken = self
            .spoken
            .get_or_insert_with(|| Spoken::of(schema, &content));
        let effort = &spoken.effort;
        let Some(reach) = spoken.reach(offer.index()).filter(|_| !effort.is_spent()) else {
            return Err(Unfit);
        };
        if offer.kind == Offered::Key {
            let minds = schema.minds_names(reach, effort) || effort.is_spent();
            return if minds { Err(Unfit) } else { Ok(shown) };
        }
        if reach.is_empty() {
            return Ok(of_kind(offer.kind, shown));
        }
        let original = match offer.kind {
            Offered::Text | Offered::Key => Scalar::Text(text),
            Offered::Number => Scalar::Number(text),
            Offered::Truth => Scalar::Bool(text == "true"),
        };
        let there = There {
            schema,
            reach,
            effort,
        };
        let own = own(there, offer.kind, text, &shown, hides_length);
        let is_same = |proposal: &Proposal| scalar(proposal) == original;
        let fits = |proposal: &Proposal| schema.fits(reach, &original, &scalar(proposal), effort);
        let mut own = own.into_iter().filter(|it| !is_same(it) || has_no_more(it));
        let found = own.find(fits).or_else(|| {
            let implied = schema.proposals(reach, effort).into_iter();
            let implied = implied.chain(nothing(there, offer.kind));
            // A value of the schema's own says nothing, even where it is the one that stands
            // there; unless which one is chosen hangs on that.
            let mut implied = implied.filter(|it| !(reach.has_alternatives() && is_same(it)));
            implied.find(fits)
        });
        let found = found.filter(|_| !effort.is_spent());
        found.map(|proposal| literal(&proposal)).ok_or(Unfit)
    }
}

impl<'a> Spoken<'a> {
    fn of(schema: &'a Schema, content: &Value<'_>) -> Self {
        let mut spoken = Self {
            schema,
            effort: Effort::of(content.next_index() - content.index()),
            reaches: Vec::new(),
            reached: 0,
            known: HashMap::new(),
            named: HashMap::new(),
            counted: HashMap::new(),
            of: Vec::new(),
        };
        let root = spoken.number(schema.root());
        spoken.walk(content, root);
        spoken
    }

    fn number(&mut self, reach: Reach) -> usize {
        let next = self.reaches.len();
        let number = *self.known.entry(reach.clone()).or_insert(next);
        if number == next {
            self.reached += reach.len();
            self.reaches.push(reach);
        }
        number
    }

    fn is_too_much(&self) -> bool {
        self.effort.is_spent() || self.reached > REACHED_PARTS_MAX
    }

    fn reach(&self, index: usize) -> Option<&Reach> {
        let at = self.of.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        let (_, number) = self.of.get(at)?;
        self.reaches.get(*number)
    }

    fn below(&mut self, number: usize, step: Step<'_>) -> usize {
        let Some(reach) = self.reaches.get(number) else {
            return number;
        };
        let below = self.schema.below(reach, step, &self.effort);
        self.number(below)
    }

    /// Notes each value with what speaks of it, and each key with what speaks of its object.
    /// Nesting is bounded by the parser; elements of one array have one answer. Where it is too
    /// much, the rest is spoken of by nobody knows what, and nothing fits there.
    fn walk(&mut self, value: &Value<'_>, number: usize) {
        if self.is_too_much() {
            return;
        }
        match value.kind() {
            Kind::Object => {
                for (key, member) in value.members() {
                    self.of.push((key.index(), number));
                    let name = key.text().unwrap_or_default();
                    let known = self.named.get(&(number, (*name).into())).copied();
                    let below = known.unwrap_or_else(|| {
                        let below = self.below(number, Step::Name(&name));
                        self.named.insert((number, (*name).into()), below);
                        below
                    });
                    self.walk(&member, below);
                }
            }
            Kind::Array => {
                let prefix = self
                    .reaches
                    .get(number)
                    .map_or(0, |reach| self.schema.prefix(reach, &self.effort));
                for (index, element) in value.elements().enumerate() {
                    let like = index.min(prefix);
                    let known = self.counted.get(&(number, like)).copied();
                    let below = known.unwrap_or_else(|| {
                        let below = self.below(number, Step::Index(like));
                        self.counted.insert((number, like), below);
                        below
                    });
                    self.walk(&element, below);
                }
            }
            Kind::String | Kind::Number | Kind::True | Kind::False => {
                self.of.push((value.index(), number));
            }
            Kind::Key | Kind::Null => {}
        }
    }
}

/// Without a schema: the type stays. A masked number is one of the digits that the mask leaves.
pub(super) fn of_kind(kind: Offered, shown: Shown) -> Shown {
    match (kind, shown) {
        (Offered::Text, Shown::Null) => Shown::Text(String::new()),
        (Offered::Number, Shown::Text(text)) => Shown::Literal(number(&text)),
        (Offered::Number, Shown::Null) => Shown::Literal("0".to_owned()),
        (Offered::Truth, Shown::Text(text)) if text == "true" => Shown::Literal(text),
        (Offered::Truth, Shown::Text(_) | Shown::Null) => Shown::Literal("false".to_owned()),
        (Offered::Text | Offered::Key | Offered::Number | Offered::Truth, shown) => shown,
    }
}

/// A number of the digits that a mask has left, the hidden ones as zeros.
fn number(shown: &str) -> String {
    let digits: String = shown
        .chars()
        .map(|shown| if shown.is_ascii_digit() { shown } else { '0' })
        .collect();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() { "0" } else { digits }.to_owned()
}

/// What a mask has left, from the most faithful to the least.
fn own(
    there: There<'_>,
    kind: Offered,
    text: &str,
    shown: &Shown,
    hides_length: bool,
) -> Vec<Proposal> {
    let masked = match shown {
        Shown::Text(masked) => masked,
        Shown::Null => return nothing(there, kind).collect(),
        Shown::Same | Shown::Literal(_) => return Vec::new(),
    };
    match kind {
        Offered::Number => vec![Proposal::Number(number(masked))],
        Offered::Truth => vec![Proposal::Bool(masked == "true")],
        Offered::Text | Offered::Key => {
            let (min, max) = there.schema.lengths(there.reach, there.effort);
            let mut found = vec![masked.clone(), sized(masked, min, max)];
            if !hides_length {
                found.extend(shaped(text, masked));
                found.extend(shaped(text, ""));
            }
            found.into_iter().map(Proposal::Text).collect()
        }
    }
}

/// A text of a length that is admitted.
fn sized(text: &str, min: usize, max: usize) -> String {
    /// Longer ones than a schema of people's asks for are not made up.
    const LENGTH_MAX: usize = 4096;
    let length = text.chars().count();
    let mut sized: String = text.chars().take(max).collect();
    sized.extend(std::iter::repeat_n(
        '*',
        min.min(LENGTH_MAX).saturating_sub(length),
    ));
    sized
}

/// A text of the form of another: what a mask hides of it is a `0` for a digit, an `x` for a
/// letter, and itself for anything else. `None` where that would be all of it.
fn shaped(text: &str, masked: &str) -> Option<String> {
    let is_aligned = text.chars().count() == masked.chars().count();
    let mut masked = masked.chars();
    let shape = |c: char| match c {
        '0'..='9' => '0',
        _ if c.is_uppercase() => 'X',
        _ if c.is_alphanumeric() => 'x',
        _ => c,
    };
    let form = text.chars().map(|c| match masked.next() {
        Some(kept) if is_aligned && kept == c => c,
        Some(_) | None => shape(c),
    });
    text.chars()
        .any(char::is_alphanumeric)
        .then(|| form.collect())
}

/// Whether a masked value that equals the one that was masked tells no more for it: it is one that
/// others are masked to as well.
fn has_no_more(proposal: &Proposal) -> bool {
    match proposal {
        Proposal::Null | Proposal::Bool(_) => true,
        Proposal::Number(number) => number == "0",
        Proposal::Text(text) => text
            .chars()
            .all(|c| matches!(c, '*' | '0' | 'x' | 'X') || !c.is_alphanumeric()),
    }
}

/// Values that say nothing: `null` where the schema declares it, and one of the same type.
fn nothing(there: There<'_>, kind: Offered) -> impl Iterator<Item = Proposal> + use<> {
    let types = there.schema.types(there.reach, there.effort);
    let is_nullable = types != TypeSet::ALL && types.any(TypeSet::NULL);
    let same = match kind {
        Offered::Text | Offered::Key => Proposal::Text(String::new()),
        Offered::Number => Proposal::Number("0".to_owned()),
        Offered::Truth => Proposal::Bool(false),
    };
    let null = is_nullable.then_some(Proposal::Null);
    null.into_iter().chain([same])
}

fn scalar(proposal: &Proposal) -> Scalar<'_> {
    match proposal {
        Proposal::Null => Scalar::Null,
        Proposal::Bool(truth) => Scalar::Bool(*truth),
        Proposal::Number(number) => Scalar::Number(number),
        Proposal::Text(text) => Scalar::Text(text),
    }
}

fn literal(proposal: &Proposal) -> Shown {
    match proposal {
        Proposal::Null => Shown::Null,
        Proposal::Bool(truth) => Shown::Literal(truth.to_string()),
        Proposal::Number(number) => Shown::Literal(number.clone()),
        Proposal::Text(text) => {
            let mut out = Vec::with_capacity(text.len() + 2);
            quote(text, &mut out);
            Shown::Literal(String::from_utf8(out).unwrap_or_else(|_| "\"\"".to_owned()))
        }
    }
}
