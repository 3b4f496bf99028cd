use proptest::prelude::*;
use weir_facts::Step;

use super::*;

fn schema(text: &str) -> Schema {
    let document = Document::parse(text.as_bytes()).expect(text);
    Schema::read(&document.root())
}

fn at(schema: &Schema, steps: &[Step<'_>]) -> Reach {
    let root = schema.root();
    steps.iter().fold(root, |reach, step| {
        schema.below(&reach, *step, &Effort::of(0))
    })
}

fn takes(schema: &Schema, value: &Scalar<'_>) -> bool {
    schema.fits(&schema.root(), &Scalar::Null, value, &Effort::of(0))
}

#[test]
fn every_keyword_of_scalars_is_kept() {
    use Scalar::{Bool, Null, Number, Text};
    for (text, yes, no) in [
        (r#"{"type":"string"}"#, Text("a"), Number("1")),
        (r#"{"type":["integer","null"]}"#, Null, Number("1.5")),
        (r#"{"type":"integer"}"#, Number("1e3"), Text("1")),
        (r#"{"type":"number"}"#, Number("-0.5"), Bool(true)),
        (r#"{"enum":["a",2,null]}"#, Number("2.0"), Text("b")),
        (r#"{"const":"a"}"#, Text("a"), Text("A")),
        (
            r#"{"pattern":"^\\d{3}-\\d\\d$"}"#,
            Text("000-00"),
            Text("***-00"),
        ),
        (r#"{"minLength":2,"maxLength":3}"#, Text("äöü"), Text("a")),
        (r#"{"maxLength":3}"#, Text(""), Text("aaaa")),
        (
            r#"{"minimum":1,"exclusiveMaximum":5}"#,
            Number("1"),
            Number("5"),
        ),
        (r#"{"exclusiveMinimum":1}"#, Number("1.1"), Number("1")),
        (r#"{"multipleOf":5}"#, Number("15"), Number("16")),
        (r#"{"format":"email"}"#, Text("a***@x.example"), Text("***")),
        (
            r#"{"format":"date"}"#,
            Text("2024-02-29"),
            Text("2023-02-29"),
        ),
        (
            r#"{"format":"date-time"}"#,
            Text("2024-01-01T10:00:00.5+02:00"),
            Text("2024-01-01"),
        ),
        (
            r#"{"format":"uuid"}"#,
            Text("00000000-0000-0000-0000-000000000000"),
            Text("0"),
        ),
        (r#"{"format":"shoe-size"}"#, Text("*"), Number("1")),
        (r#"{"not":{"type":"string"}}"#, Null, Text("")),
        (
            r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
            Null,
            Number("1"),
        ),
        (
            r#"{"oneOf":[{"type":"number"},{"type":"integer"}]}"#,
            Number("1.5"),
            Number("1"),
        ),
        (
            r##"{"$ref":"#/$defs/a","$defs":{"a":{"type":"null"}}}"##,
            Null,
            Text(""),
        ),
        (
            r#"{"if":{"type":"string"},"then":{"maxLength":1},"else":{"type":"null"}}"#,
            Text("a"),
            Text("ab"),
        ),
        ("true", Null, Null),
        ("false", Text(""), Null),
    ] {
        let schema = schema(text);
        // The table's last two: what a boolean schema says, and that formats bind only texts.
        let (yes_wanted, no_wanted) = match text {
            "true" => (true, true),
            "false" => (false, false),
            r#"{"format":"shoe-size"}"# => (true, true),
            _ => (true, false),
        };
        assert_eq!(takes(&schema, &yes), yes_wanted, "{text} {yes:?}");
        assert_eq!(takes(&schema, &no), no_wanted, "{text} {no:?}");
    }
}

#[test]
fn what_cannot_be_decided_fits_nothing() {
    for text in [
        r#"{"$ref":"https://elsewhere.example/schema"}"#,
        r##"{"$ref":"#/$defs/none"}"##,
        r##"{"$dynamicRef":"#x"}"##,
        r##"{"$ref":"#"}"##,
        r#"{"pattern":"^(?=a)b"}"#,
        r#"{"pattern":"(a)\\1"}"#,
        r#"{"pattern":"((a{1000}){1000}){1000}"}"#,
        r##"{"anyOf":[{"$ref":"#"}]}"##,
    ] {
        assert!(!takes(&schema(text), &Scalar::Text("a")), "{text}");
    }
}

#[test]
fn what_refers_to_itself_in_many_ways_is_given_up_soon() {
    // Each part asks twice for the next: 2⁶⁰ questions, were they all asked.
    let defs: Vec<_> = (0..60)
        .map(|n| {
            format!(
                r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{m}"}},{{"$ref":"#/$defs/d{m}"}}]}}"##,
                m = n + 1
            )
        })
        .collect();
    let text = format!(
        r##"{{"$ref":"#/$defs/d0","$defs":{{{},"d60":{{"type":"string"}}}}}}"##,
        defs.join(",")
    );
    let schema = schema(&text);
    assert!(!takes(&schema, &Scalar::Text("a")));
    let document = Document::parse(b"1").expect("JSON");
    let found = schema
        .mistyped(&document.root())
        .expect("not held against it");
    assert_eq!(
        found.to_string(),
        "the arguments cannot be held against the tool's definition"
    );
    assert!(schema.declared("a").is_none());
}

#[test]
fn what_is_kept_of_a_schema_and_done_with_it_has_an_end() {
    use crate::limits::{PATTERN_BYTES_MAX, PATTERNS_BYTES_MAX, SCHEMA_PARTS_MAX};
    let list =
        |part: &str, count: usize| format!(r#"{{"anyOf":[{}]}}"#, vec![part; count].join(","));
    // `[a-z]{3000}` takes a hundred kilobytes.
    let large = list(r#"{"pattern":"^[a-z]{3000}$"}"#, 100);
    let kept = schema(&large);
    let fits = |id| {
        kept.admits(
            id,
            &Scalar::Text("a"),
            &effort::Fuel::new(&Effort::of(0)),
            0,
        )
    };
    let decided = (1..=100)
        .filter(|id| fits(*id) == admits::Admits::No)
        .count();
    assert!(
        (1..=PATTERNS_BYTES_MAX / PATTERN_BYTES_MAX * 4).contains(&decided),
        "{decided}"
    );

    let many = schema(&list(r#"{"type":"string"}"#, 2 * SCHEMA_PARTS_MAX));
    assert_eq!(many.nodes.len(), SCHEMA_PARTS_MAX + 1);
    assert!(!takes(
        &schema(&format!(
            r#"{{"allOf":[{}]}}"#,
            vec!["true"; 5000].join(",")
        )),
        &Scalar::Null
    ));

    let slow = schema(r#"{"pattern":"(x+x+)+y"}"#);
    let (effort, text) = (Effort::of(1), "x".repeat(1 << 20));
    assert!(!slow.fits(&slow.root(), &Scalar::Null, &Scalar::Text("y"), &effort));
    assert!(!effort.is_spent());
    for _ in 0..16 {
        let _ = slow.fits(&slow.root(), &Scalar::Null, &Scalar::Text(&text), &effort);
    }
    assert!(effort.is_spent());
    assert!(!slow.fits(&slow.root(), &Scalar::Null, &Scalar::Text("xxy"), &effort));
}

#[test]
fn a_place_is_spoken_of_by_whatever_applies_there() {
    use Step::{Index, Name};
    let schema = schema(
        r##"{"type":"object","$defs":{"row":{"properties":{"ssn":{"maxLength":4}}}},
        "properties":{"rows":{"prefixItems":[{"type":"null"}],"items":{"$ref":"#/$defs/row"}}},
        "patternProperties":{"^x-":{"type":"string"}},"additionalProperties":{"type":"number"}}"##,
    );
    let fits = |steps: &[Step<'_>], value: &Scalar<'_>| {
        schema.fits(&at(&schema, steps), &Scalar::Null, value, &Effort::of(0))
    };
    let ssn = [Name("rows"), Index(7), Name("ssn")];
    assert!(fits(&ssn, &Scalar::Text("6789")) && !fits(&ssn, &Scalar::Text("*****")));
    assert!(fits(&[Name("rows"), Index(0)], &Scalar::Null));
    assert!(!fits(&[Name("rows"), Index(0)], &Scalar::Text("a")));
    assert!(!fits(&[Name("x-a")], &Scalar::Number("1")));
    assert!(!fits(&[Name("other")], &Scalar::Text("1")));
    assert!(at(&schema, &[Name("rows"), Index(7), Name("free")]).is_empty());
    assert!(schema.minds_names(&schema.root(), &Effort::of(0)));
    assert!(!schema.minds_names(&at(&schema, &ssn), &Effort::of(0)));
    assert_eq!(
        schema.prefix(&at(&schema, &[Name("rows")]), &Effort::of(0)),
        1
    );
}

#[test]
fn an_alternative_must_go_on_saying_what_it_says() {
    let schema = schema(
        r#"{"oneOf":[{"properties":{"kind":{"const":"card"},"number":{"pattern":"^[0-9]+$"}}},
                     {"properties":{"kind":{"const":"iban"},"number":{"pattern":"^[A-Z]"}}}]}"#,
    );
    let number = at(&schema, &[Step::Name("number")]);
    assert!(number.has_alternatives());
    let card = Scalar::Text("4111");
    assert!(schema.fits(&number, &card, &Scalar::Text("0000"), &Effort::of(0)));
    for other in ["****", "XX00"] {
        assert!(
            !schema.fits(&number, &card, &Scalar::Text(other), &Effort::of(0)),
            "{other}"
        );
    }
}

#[test]
fn proposals_are_the_schemas_own() {
    for (text, wanted) in [
        (r#"{"enum":["a","b"]}"#, Scalar::Text("a")),
        (r#"{"const":7}"#, Scalar::Number("7")),
        (r#"{"format":"ipv4"}"#, Scalar::Text("0.0.0.0")),
        (r#"{"type":"integer","minimum":18}"#, Scalar::Number("18")),
        (
            r#"{"type":"integer","exclusiveMinimum":18}"#,
            Scalar::Number("19"),
        ),
        (
            r#"{"type":"integer","minimum":18,"multipleOf":5}"#,
            Scalar::Number("20"),
        ),
        (
            r#"{"allOf":[{"format":"date"}]}"#,
            Scalar::Text("1970-01-01"),
        ),
        (
            r#"{"pattern":"^cus_","default":"cus_0"}"#,
            Scalar::Text("cus_0"),
        ),
    ] {
        let schema = schema(text);
        let proposals = schema.proposals(&schema.root(), &Effort::of(0));
        let found = proposals.iter().map(|proposal| match proposal {
            Proposal::Null => Scalar::Null,
            Proposal::Bool(truth) => Scalar::Bool(*truth),
            Proposal::Number(number) => Scalar::Number(number),
            Proposal::Text(text) => Scalar::Text(text),
        });
        let mut fitting = found.filter(|value| takes(&schema, value));
        assert_eq!(fitting.next(), Some(wanted), "{text}: {proposals:?}");
    }
}

const CUSTOMER: &str = r##"{"type":"object","properties":{
    "limit":{"type":"integer"},
    "price":{"type":"number"},
    "name":{"anyOf":[{"type":"string"},{"type":"null"}]},
    "filter":{"$ref":"#/$defs/filter"},
    "ids":{"type":"array","items":{"type":"integer"}}},
    "$defs":{"filter":{"type":"object","properties":{"deep":{"type":"boolean"}}}}}"##;

#[test]
fn an_argument_of_another_type_is_found() {
    let schema = schema(CUSTOMER);
    for fine in [
        "{}",
        r#"{"limit":1000,"price":1.5,"name":null,"filter":{"deep":true},"ids":[1,2],"other":{}}"#,
        r#"{"limit":1e3,"price":1,"name":"x"}"#,
    ] {
        let document = Document::parse(fine.as_bytes()).expect(fine);
        assert_eq!(schema.mistyped(&document.root()), None, "{fine}");
    }
    for (wrong, told) in [
        (
            r#"{"limit":"1000"}"#,
            r#"the argument "limit" must be integer"#,
        ),
        (
            r#"{"limit":1.5}"#,
            r#"the argument "limit" must be integer"#,
        ),
        (
            r#"{"limit":null}"#,
            r#"the argument "limit" must be integer"#,
        ),
        (r#"{"price":"1"}"#, r#"the argument "price" must be number"#),
        (
            r#"{"name":1}"#,
            r#"the argument "name" must be null or string"#,
        ),
        (
            r#"{"filter":{"deep":"true"}}"#,
            r#"the argument "filter/deep" must be boolean"#,
        ),
        (
            r#"{"filter":[]}"#,
            r#"the argument "filter" must be object"#,
        ),
        (
            r#"{"ids":[1,"2"]}"#,
            r#"the argument "ids/1" must be integer"#,
        ),
        ("[]", "the arguments must be object"),
    ] {
        let document = Document::parse(wrong.as_bytes()).expect(wrong);
        let found = schema.mistyped(&document.root()).map(|it| it.to_string());
        assert_eq!(found.as_deref(), Some(told), "{wrong}");
    }
}

#[test]
fn an_argument_that_is_too_deep_to_be_held_against_the_schema_is_mistyped() {
    let schema = schema(r##"{"properties":{"a":{"$ref":"#"},"n":{"type":"integer"}}}"##);
    let nested = |levels: usize| {
        let text = format!(
            "{}{{\"n\":\"1\"}}{}",
            r#"{"a":"#.repeat(levels),
            "}".repeat(levels)
        );
        let document = Document::parse(text.as_bytes()).expect("JSON");
        schema.mistyped(&document.root()).map(|it| it.wanted)
    };
    assert_eq!(nested(8), Some(TypeSet::INTEGER));
    assert_eq!(nested(100), Some(TypeSet::NONE));
}

#[test]
fn types_of_arguments_are_read_by_path() {
    let schema = schema(CUSTOMER);
    let told = |path: &str| schema.declared(path).map(|types| types.to_string());
    assert_eq!(told("limit").as_deref(), Some("integer"));
    assert_eq!(told("name").as_deref(), Some("null or string"));
    assert_eq!(told("filter/deep").as_deref(), Some("boolean"));
    assert_eq!(told("ids/3").as_deref(), Some("integer"));
    assert_eq!(told("limits"), None);
    assert_eq!(told("filter/none"), None);
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just(r#""string""#.to_owned()),
        Just("3".to_owned()),
        Just(r##"{"$ref":"#"}"##.to_owned()),
        Just(r##"{"$ref":"#/a/0"}"##.to_owned()),
        Just(r#"{"type":"string","pattern":"^a*$"}"#.to_owned()),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let key = prop_oneof![
            Just("a"),
            Just("type"),
            Just("properties"),
            Just("items"),
            Just("allOf"),
            Just("anyOf"),
            Just("oneOf"),
            Just("not"),
            Just("if"),
            Just("then"),
            Just("enum"),
            Just("const"),
            Just("required"),
            Just("additionalProperties"),
            Just("patternProperties"),
            Just("$ref"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|list| format!("[{}]", list.join(","))),
            prop::collection::vec((key, inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_schema_makes_it_fail_and_each_answer_comes_twice(schema in json(), value in json(), text in "[a*]{0,3}") {
        let document = Document::parse(schema.as_bytes()).expect("JSON");
        let schema = Schema::read(&document.root());
        let value = Document::parse(value.as_bytes()).expect("JSON");
        let first = schema.mistyped(&value.root());
        prop_assert_eq!(first, schema.mistyped(&value.root()));
        let reach = at(&schema, &[Step::Name("a"), Step::Index(0)]);
        for reach in [schema.root(), reach] {
            let original = Scalar::Text("aa");
            // A value may always stay where only alternatives speak and all of them are decided.
            let (shown, effort) = (Scalar::Text(&text), Effort::of(0));
            let fits = schema.fits(&reach, &original, &shown, &effort);
            prop_assert_eq!(fits, schema.fits(&reach, &original, &shown, &effort));
            let _ = (schema.proposals(&reach, &effort), schema.lengths(&reach, &effort), schema.minds_names(&reach, &effort));
        }
        let _ = schema.declared("a/0");
    }
}
