//! Labelled places, found in a document.

use weir_facts::{Along, JsonPath, Step};
use weir_mcp::json::{Kind, Value};

use super::Place;

/// Values at labelled places, by their position, with the place's number.
pub(super) struct Marks(Vec<(usize, usize)>);

/// The structured content of a message: of a result, of a task's result, or of one that is told.
pub(super) fn structured<'d>(message: &Value<'d>) -> Option<Value<'d>> {
    const CHAINS: [&[&str]; 3] = [
        &["result", "structuredContent"],
        &["result", "result", "structuredContent"],
        &["params", "result", "structuredContent"],
    ];
    CHAINS.iter().find_map(|chain| {
        let mut steps = chain.iter();
        steps.try_fold(*message, |value, name| value.get(name))
    })
}

impl Marks {
    /// Places of a message: in its structured content, and in the data of an error or of a line of
    /// the log, which servers fill with what they would have answered.
    pub(super) fn of_message(places: &[Place], message: &Value<'_>) -> Self {
        let mut marks = Self(Vec::new());
        if places.is_empty() {
            return marks;
        }
        let data = message.get("error").and_then(|error| error.get("data"));
        let logged = message.get("params").and_then(|params| params.get("data"));
        for root in structured(message).into_iter().chain(data).chain(logged) {
            marks.walk(places, &root);
        }
        marks.0.sort_unstable();
        marks
    }

    /// Places of a document that is a text.
    pub(super) fn of_text(places: &[Place], root: &Value<'_>) -> Self {
        let mut marks = Self(Vec::new());
        if !places.is_empty() {
            marks.walk(places, root);
        }
        marks
    }

    pub(super) fn has(&self, index: usize) -> bool {
        self.of(index).next().is_some()
    }

    /// The places that a value is at.
    pub(super) fn of(&self, index: usize) -> impl Iterator<Item = usize> {
        let first = self.0.partition_point(|(at, _)| *at < index);
        let rest = self.0.get(first..).unwrap_or_default();
        rest.iter()
            .take_while(move |(at, _)| *at == index)
            .map(|(_, place)| *place)
    }

    fn walk(&mut self, places: &[Place], root: &Value<'_>) {
        let paths: Vec<_> = places.iter().map(|place| &place.path).collect();
        let along: Vec<_> = (0..paths.len()).map(|at| (at, JsonPath::start())).collect();
        self.value(&paths, root, &along, &[]);
    }

    /// What is at a place is so with everything in it. Nesting is bounded by the parser.
    fn value(
        &mut self,
        paths: &[&JsonPath],
        value: &Value<'_>,
        along: &[(usize, Along)],
        within: &[usize],
    ) {
        let is_here = |(at, along): &&(usize, Along)| {
            let path = paths.get(*at);
            path.is_some_and(|path| path.is_here(*along)) && !within.contains(at)
        };
        let mut here = within.to_vec();
        here.extend(along.iter().filter(is_here).map(|(at, _)| *at));
        let below = |step: Step<'_>| -> Vec<_> {
            let steps = along.iter().filter_map(|(at, along)| {
                let next = paths.get(*at)?.step(*along, step);
                (!next.is_nowhere()).then_some((*at, next))
            });
            steps.collect()
        };
        let is_over = |next: &[_]| next.is_empty() && here.is_empty();
        match value.kind() {
            Kind::Object => {
                for (key, member) in value.members() {
                    let next = below(Step::Name(&key.text().unwrap_or_default()));
                    if !is_over(&next) {
                        self.value(paths, &member, &next, &here);
                    }
                }
            }
            Kind::Array => {
                for (index, element) in value.elements().enumerate() {
                    let next = below(Step::Index(index));
                    if !is_over(&next) {
                        self.value(paths, &element, &next, &here);
                    }
                }
            }
            Kind::String | Kind::Number | Kind::True | Kind::False => {
                here.sort_unstable();
                self.0.extend(here.iter().map(|at| (value.index(), *at)));
            }
            Kind::Key | Kind::Null => {}
        }
    }
}
