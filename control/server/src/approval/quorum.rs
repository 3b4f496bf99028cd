//! Whether enough distinct people have approved.

/// A person who approved and the groups in which their approval counts.
pub(crate) struct Voter {
    pub(crate) groups: Vec<String>,
}

/// Whether every group can be given `quorum` people of its own, nobody counted twice: one
/// person who is in two groups approves for one of them, so two groups always mean two people.
///
/// This is a bipartite matching; slots are few, see [`crate::limits::QUORUM_SLOTS_MAX`].
pub(crate) fn is_reached(groups: &[String], quorum: usize, voters: &[Voter]) -> bool {
    let slots: Vec<&String> = groups
        .iter()
        .flat_map(|group| std::iter::repeat_n(group, quorum))
        .collect();
    if slots.is_empty() || slots.len() > voters.len() {
        return false;
    }
    // Which slot each voter fills.
    let mut filled: Vec<Option<usize>> = vec![None; voters.len()];
    (0..slots.len()).all(|slot| {
        place(
            slot,
            &slots,
            voters,
            &mut filled,
            &mut vec![false; voters.len()],
        )
    })
}

/// Finds a voter for a slot, moving others to other slots where that frees one (Kuhn).
fn place(
    slot: usize,
    slots: &[&String],
    voters: &[Voter],
    filled: &mut [Option<usize>],
    seen: &mut [bool],
) -> bool {
    for (index, voter) in voters.iter().enumerate() {
        let fits = slots
            .get(slot)
            .is_some_and(|group| voter.groups.contains(group));
        // Each voter is asked once in a search, or moving others would not end.
        if !fits
            || seen
                .get_mut(index)
                .is_none_or(|seen| std::mem::replace(seen, true))
        {
            continue;
        }
        let held = filled.get(index).copied().flatten();
        if held.is_none_or(|other| place(other, slots, voters, filled, seen)) {
            if let Some(filled) = filled.get_mut(index) {
                *filled = Some(slot);
            }
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn voters(groups: &[&[&str]]) -> Vec<Voter> {
        groups
            .iter()
            .map(|groups| Voter {
                groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            })
            .collect()
    }

    fn names(groups: &[&str]) -> Vec<String> {
        groups.iter().map(|g| (*g).to_owned()).collect()
    }

    #[test]
    fn each_group_needs_its_own_people() {
        type Case = (
            &'static [&'static str],
            usize,
            &'static [&'static [&'static str]],
            bool,
        );
        let cases: [Case; 9] = [
            (&["dba"], 1, &[&["dba"]], true),
            (&["dba"], 1, &[], false),
            (&["dba"], 1, &[&["ops"]], false),
            (&["dba"], 2, &[&["dba"]], false),
            (&["dba"], 2, &[&["dba"], &["dba"]], true),
            (&["dba", "sec"], 1, &[&["dba", "sec"]], false),
            (&["dba", "sec"], 1, &[&["dba", "sec"], &["dba"]], true),
            (&["dba", "sec"], 1, &[&["dba"], &["dba"]], false),
            (&[], 1, &[&["dba"]], false),
        ];
        for (groups, quorum, votes, expected) in cases {
            assert_eq!(
                is_reached(&names(groups), quorum, &voters(votes)),
                expected,
                "{groups:?} {quorum} {votes:?}"
            );
        }
    }

    /// Tries every assignment of voters to slots.
    fn naive(slots: &[String], voters: &[Vec<String>]) -> bool {
        let Some((slot, rest)) = slots.split_first() else {
            return true;
        };
        (0..voters.len()).any(|index| {
            let mut others = voters.to_vec();
            let chosen = others.remove(index);
            chosen.contains(slot) && naive(rest, &others)
        })
    }

    proptest! {
        #[test]
        fn the_matching_agrees_with_trying_everything(
            groups in 1usize..4, quorum in 1usize..3,
            votes in proptest::collection::vec(proptest::collection::vec(0usize..4, 0..3), 0..6),
        ) {
            let groups: Vec<String> = (0..groups).map(|g| g.to_string()).collect();
            let votes: Vec<Vec<String>> =
                votes.iter().map(|v| v.iter().map(ToString::to_string).collect()).collect();
            let slots: Vec<String> = groups.iter().flat_map(|g| vec![g.clone(); quorum]).collect();
            let voters: Vec<Voter> = votes.iter().map(|g| Voter { groups: g.clone() }).collect();
            prop_assert_eq!(is_reached(&groups, quorum, &voters), naive(&slots, &votes));
        }
    }
}
