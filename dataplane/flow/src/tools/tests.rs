use super::*;

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn sight(name: &str, byte: u8) -> Sight<'_> {
    Sight {
        name,
        digest: digest(byte),
        flaw: None,
    }
}

fn pinned(approved: Option<u8>, pending: Option<u8>, decision: u64) -> ToolPins {
    let pin = ToolPin {
        approved: approved.map(digest),
        pending: pending.map(digest),
        decision,
    };
    ToolPins::new(FirstSight::Trusted, [("a".into(), pin)])
}

const CHANGED: Standing = Standing::Quarantined(Doubt::Changed);

#[test]
fn the_first_definition_is_trusted_and_every_other_quarantines_until_somebody_decides() {
    let tools = ServerTools::default();
    let none = ToolPins::none();
    assert_eq!(tools.standing(&none, "a"), Standing::Trusted(None));
    let first = tools.look(&none, &sight("a", 1));
    assert!(first.is_news && first.is_untold);
    assert_eq!(first.standing, Standing::Trusted(Some(digest(1))));
    assert!(!tools.look(&none, &sight("a", 1)).is_news);
    let changed = tools.look(&none, &sight("a", 2));
    assert_eq!((changed.standing, changed.is_news), (CHANGED, true));
    // Showing the old one again does not help.
    assert_eq!(tools.look(&none, &sight("a", 1)).standing, CHANGED);
    assert_eq!(tools.standing(&pinned(Some(1), Some(2), 0), "a"), CHANGED);
    // A person approved the second, or kept the first.
    let second = pinned(Some(2), None, 5);
    assert_eq!(
        tools.standing(&second, "a"),
        Standing::Trusted(Some(digest(2)))
    );
    let kept = pinned(Some(1), None, 5);
    assert_eq!(
        tools.standing(&kept, "a"),
        Standing::Trusted(Some(digest(1)))
    );
    // After which the other is a change again.
    let back = tools.look(&second, &sight("a", 1));
    assert_eq!((back.standing, back.is_news), (CHANGED, true));
}

#[test]
fn what_another_host_saw_counts_here() {
    let tools = ServerTools::default();
    tools.look(&ToolPins::none(), &sight("b", 1));
    let elsewhere = ToolPin {
        approved: Some(digest(9)),
        pending: None,
        decision: 0,
    };
    let pins = ToolPins::new(FirstSight::Trusted, [("b".into(), elsewhere)]);
    assert_eq!(tools.standing(&pins, "b"), CHANGED);
    assert_eq!(tools.look(&pins, &sight("b", 1)).standing, CHANGED);
    assert_eq!(tools.standing(&pinned(Some(1), Some(2), 1), "a"), CHANGED);
    assert_eq!(
        tools.standing(&pinned(None, Some(2), 1), "a"),
        Standing::Quarantined(Doubt::Unapproved)
    );
    let told = tools.look(&pinned(Some(1), Some(2), 1), &sight("a", 2));
    assert!(!told.is_untold && told.is_news);
}

#[test]
fn a_tool_that_looks_like_another_is_not_trusted_at_first_sight() {
    let name = Standing::Quarantined(Doubt::Name);
    for (known, other) in [
        ("read_file", "readFile"),
        ("list", "1ist"),
        ("a", "\u{430}"),
    ] {
        let tools = ServerTools::default();
        let none = ToolPins::none();
        tools.look(&none, &sight(known, 1));
        assert_eq!(
            tools.look(&none, &sight(other, 2)).standing,
            name,
            "{other}"
        );
        assert_eq!(tools.standing(&none, other), name, "{other}");
        let pin = ToolPin {
            approved: Some(digest(1)),
            pending: None,
            decision: 1,
        };
        let pins = ToolPins::new(FirstSight::Trusted, [(known.into(), pin)]);
        assert_eq!(
            ServerTools::default().standing(&pins, other),
            name,
            "{other}"
        );
    }
}

#[test]
fn without_trust_at_first_sight_nothing_is_used_unapproved() {
    let pins = ToolPins::new(FirstSight::Quarantined, []);
    let tools = ServerTools::default();
    let unapproved = Standing::Quarantined(Doubt::Unapproved);
    assert_eq!(tools.standing(&pins, "a"), unapproved);
    assert_eq!(tools.look(&pins, &sight("a", 1)).standing, unapproved);
}

#[test]
fn a_flawed_definition_is_not_trusted_at_first_sight() {
    let tools = ServerTools::default();
    let flawed = Sight {
        flaw: Some(Doubt::Hidden),
        ..sight("a", 1)
    };
    let hidden = Standing::Quarantined(Doubt::Hidden);
    assert_eq!(tools.look(&ToolPins::none(), &flawed).standing, hidden);
    assert_eq!(tools.standing(&ToolPins::none(), "a"), hidden);
    // Unless a person has approved exactly it.
    let approved = pinned(Some(1), None, 1);
    assert_eq!(
        tools.look(&approved, &flawed).standing,
        Standing::Trusted(Some(digest(1)))
    );
}

#[test]
fn neither_tools_nor_definitions_without_end_are_remembered_or_trusted() {
    let tools = ServerTools::default();
    let none = ToolPins::none();
    let news = (0..=u8::MAX)
        .filter(|byte| tools.look(&none, &sight("a", *byte)).is_news)
        .count();
    assert_eq!(news, 1 + OTHERS_MAX);
    for index in 1..TOOLS_MAX {
        assert!(
            tools
                .look(&none, &sight(&format!("t{index:x}t"), 1))
                .is_news
        );
    }
    let beyond = tools.look(&none, &sight("beyond", 1));
    assert_eq!(
        (beyond.standing, beyond.is_news),
        (Standing::Quarantined(Doubt::Many), false)
    );
}
