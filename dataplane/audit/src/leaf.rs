//! A record as a leaf of the log.

use weir_facts::{Digest, Link, OperationRef, Principal, Workload};

use crate::commitment::Commitment;
use crate::json::{Fit, Object, item, pair};
use crate::limits::{CAPS_TIGHT, CAPS_WIDE, Caps, LEAF_BYTES_AIM};
use crate::recall::Recall;
use crate::{CommitmentKey, Kind, Position, Record, RecordSeq, WorkerId};

/// Version of the leaf's fields, its member `v`: 2 since leaves have `link`.
pub const LEAF_VERSION: u64 = 2;

/// The oldest version that is still read.
pub(crate) const LEAF_VERSION_MIN: u64 = 1;

/// What a leaf says of its own place.
pub(crate) struct Place<'k> {
    pub(crate) worker: WorkerId,
    pub(crate) seq: RecordSeq,
    pub(crate) prev: Digest,
    pub(crate) key: &'k CommitmentKey,
    pub(crate) operation: Option<OperationRef>,
    /// To the record's bytes.
    commitment: Option<Digest>,
    /// To what the operation's receipt names.
    release: Option<Digest>,
}

impl<'k> Place<'k> {
    pub(crate) fn after(
        worker: WorkerId,
        position: &Position,
        key: &'k CommitmentKey,
        recall: &mut Recall,
        operation: Option<OperationRef>,
        record: &Record<'_>,
    ) -> Option<Self> {
        let seq = RecordSeq(position.seq.0.checked_add(1)?);
        let has_bytes = !record.bytes.is_empty();
        let digest = record
            .digest
            .or(operation.map(|operation| operation.digest));
        Some(Self {
            worker,
            seq,
            prev: position.hash,
            key,
            operation,
            commitment: has_bytes.then(|| recall.commit(key, record.bytes)),
            release: digest.map(|digest| recall.commit(key, &digest.0)),
        })
    }
}

/// Fields that did not fit: their names, and a commitment to their whole values.
struct Withheld<'k> {
    key: &'k CommitmentKey,
    names: [&'static str; FIELDS_CUTTABLE],
    count: usize,
    commitment: Option<Commitment>,
}

/// Fields that can be cut at once; more than the leaf has of them.
const FIELDS_CUTTABLE: usize = 32;

impl<'k> Withheld<'k> {
    fn new(key: &'k CommitmentKey) -> Self {
        Self {
            key,
            names: [""; FIELDS_CUTTABLE],
            count: 0,
            commitment: None,
        }
    }

    fn cut<'v>(&mut self, name: &'static str, fit: Fit, parts: impl IntoIterator<Item = &'v str>) {
        if fit == Fit::Whole {
            return;
        }
        if let Some(slot) = self.names.get_mut(self.count) {
            *slot = name;
            self.count += 1;
        }
        let commitment = self.commitment.get_or_insert_with(|| self.key.open());
        for part in parts {
            // Lengths keep ("ab", "c") apart from ("a", "bc").
            commitment.update(&(part.len() as u64).to_le_bytes());
            commitment.update(part.as_bytes());
        }
    }

    fn write(self, object: &mut Object<'_>) {
        let Some(commitment) = self.commitment else {
            return;
        };
        let names = self.names.iter().take(self.count).copied();
        object.object("withheld", |inner| {
            inner.hex("commitment", &commitment.finish().0);
            let _ = inner.list("fields", names, usize::MAX, item);
        });
    }
}

/// Appends the leaf to `out`.
pub(crate) fn write(out: &mut Vec<u8>, place: &Place<'_>, record: &Record<'_>) {
    let start = out.len();
    write_capped(out, place, record, &CAPS_WIDE);
    if out.len() - start > LEAF_BYTES_AIM {
        out.truncate(start);
        write_capped(out, place, record, &CAPS_TIGHT);
    }
}

fn write_capped(out: &mut Vec<u8>, place: &Place<'_>, record: &Record<'_>, caps: &Caps) {
    let mut withheld = Withheld::new(place.key);
    let mut object = Object::open(out);
    asked_and_how(&mut object, &mut withheld, record, place, caps);
    decided(&mut object, &mut withheld, record, place, caps);
    object.integer("seq", place.seq.0);
    text(
        &mut object,
        &mut withheld,
        "session",
        record.session,
        caps.name,
    );
    if let Some(source) = record.source {
        object.address("source", source);
    }
    text(
        &mut object,
        &mut withheld,
        "summary",
        record.summary,
        caps.summary,
    );
    if let Some(target) = record.target {
        object.address("target", target);
    }
    object.integer("time_us", record.now.unix_us);
    object.integer("v", LEAF_VERSION);
    text(
        &mut object,
        &mut withheld,
        "verdict",
        record.verdict,
        caps.name,
    );
    if let Some(principal) = record.principal {
        object.object("who", |inner| who(inner, &mut withheld, principal, caps));
    }
    withheld.write(&mut object);
    object.integer("worker", u64::from(place.worker.0));
    object.close();
}

/// Members `accesses` to `masked`.
fn asked_and_how(
    object: &mut Object<'_>,
    withheld: &mut Withheld<'_>,
    record: &Record<'_>,
    place: &Place<'_>,
    caps: &Caps,
) {
    if !record.accesses.is_empty() {
        let write = |out: &mut Vec<u8>, access: &(weir_facts::Action, &str)| {
            pair(out, access.0.as_str(), access.1)
        };
        let fit = object.list("accesses", record.accesses, caps.accesses, write);
        withheld.cut(
            "accesses",
            fit,
            record
                .accesses
                .iter()
                .flat_map(|(action, id)| [action.as_str(), id]),
        );
    }
    if let Some(approval) = record.approval {
        object.plain("approval", approval);
    }
    if !record.approvers.is_empty() {
        let approvers = record.approvers.iter().map(AsRef::as_ref);
        let fit = object.list("approvers", approvers.clone(), caps.approvers, item);
        withheld.cut("approvers", fit, approvers);
    }
    text(object, withheld, "bundle", record.bundle, caps.name);
    if let Some(commitment) = place.commitment {
        object.hex("commitment", &commitment.0);
    }
    let connection = record
        .connection
        .map_or("", weir_facts::ConnectionName::as_str);
    text(object, withheld, "connection", connection, caps.name);
    text(object, withheld, "database", record.database, caps.name);
    count(object, "duration_us", record.duration_us, record.kind);
    if let Some(flow) = record
        .flow
        .or(place.operation.map(|operation| operation.flow))
    {
        object.hex("flow", &flow.0.to_be_bytes());
    }
    object.hex("key", place.key.id());
    object.word("kind", record.kind.as_str());
    if let Some(link) = record.link {
        object.object("link", |inner| caused_by(inner, link));
    }
    if !record.masked.is_empty() {
        let write = |out: &mut Vec<u8>, masked: &(&str, &str)| pair(out, masked.0, masked.1);
        let fit = object.list("masked", record.masked, caps.masked, write);
        withheld.cut(
            "masked",
            fit,
            record.masked.iter().flat_map(|(path, rule)| [*path, *rule]),
        );
    }
}

/// What caused it: a call by its flow and operation, or how many there are to choose from.
fn caused_by(object: &mut Object<'_>, link: Link) {
    if let Link::Ambiguous { candidates } = link {
        object.integer("candidates", u64::from(candidates));
    }
    if let Some(call) = link.call() {
        object.hex("flow", &call.flow.0.to_be_bytes());
    }
    object.word("kind", link.as_str());
    if let Some(call) = link.call() {
        object.integer("operation", u64::from(call.operation.0));
    }
}

/// Members `operation` to `rows`.
fn decided(
    object: &mut Object<'_>,
    withheld: &mut Withheld<'_>,
    record: &Record<'_>,
    place: &Place<'_>,
    caps: &Caps,
) {
    if let Some(operation) = record
        .operation
        .or(place.operation.map(|operation| operation.seq))
    {
        object.integer("operation", u64::from(operation.0));
    }
    text(object, withheld, "outcome", record.outcome, caps.name);
    if !record.policies.is_empty() {
        let policies = record.policies.iter().map(|policy| policy.0.as_ref());
        let fit = object.list("policies", policies.clone(), caps.policies, item);
        withheld.cut("policies", fit, policies);
    }
    object.hex("prev", &place.prev.0);
    text(
        object,
        withheld,
        "protocol",
        record.protocol.as_str(),
        caps.name,
    );
    text(object, withheld, "reason", record.reason, caps.reason);
    if let Some(release) = place.release {
        object.hex("release_commitment", &release.0);
    }
    count(object, "response_bytes", record.response_bytes, record.kind);
    text(object, withheld, "role", record.role, caps.name);
    count(object, "rows", record.rows, record.kind);
}

fn who(object: &mut Object<'_>, withheld: &mut Withheld<'_>, principal: &Principal, caps: &Caps) {
    if let Some(agent) = &principal.agent {
        let fit = object.text("agent", &agent.name, caps.name);
        withheld.cut("agent", fit, [agent.name.as_ref()]);
    }
    if let Some(identity) = &principal.identity {
        object.object("identity", |inner| {
            let groups = identity.groups.iter().map(|group| group.0.as_ref());
            let fit = inner.list("groups", groups.clone(), caps.groups, item);
            withheld.cut("identity.groups", fit, groups);
            let fit = inner.text("issuer", &identity.issuer, caps.path);
            withheld.cut("identity.issuer", fit, [identity.issuer.as_ref()]);
            inner.word(
                "kind",
                if identity.is_service {
                    "service"
                } else {
                    "user"
                },
            );
            let fit = inner.text("subject", &identity.subject, caps.path);
            withheld.cut("identity.subject", fit, [identity.subject.as_ref()]);
        });
    }
    if let Some(workload) = &principal.workload {
        object.object("workload", |inner| {
            attested(inner, withheld, workload, caps)
        });
    }
}

fn attested(
    object: &mut Object<'_>,
    withheld: &mut Withheld<'_>,
    workload: &Workload,
    caps: &Caps,
) {
    let fit = object.text("cgroup", &workload.cgroup, caps.path);
    withheld.cut("workload.cgroup", fit, [workload.cgroup.as_ref()]);
    let fit = object.text("executable", &workload.executable, caps.path);
    withheld.cut("workload.executable", fit, [workload.executable.as_ref()]);
    if let Some(digest) = workload.executable_digest {
        object.hex("executable_digest", &digest.0);
    }
    object.integer("gid", u64::from(workload.gid));
    let groups = workload.groups.iter().map(|group| group.0.as_ref());
    let fit = object.list("groups", groups.clone(), caps.groups, item);
    withheld.cut("workload.groups", fit, groups);
    let fit = object.text("name", &workload.name, caps.name);
    withheld.cut("workload.name", fit, [workload.name.as_ref()]);
    if let Some(owner) = &workload.owner {
        let fit = object.text("owner", owner, caps.name);
        withheld.cut("workload.owner", fit, [owner.as_ref()]);
    }
    object.integer("pid", u64::from(workload.pid));
    object.integer("uid", u64::from(workload.uid));
}

fn text(
    object: &mut Object<'_>,
    withheld: &mut Withheld<'_>,
    key: &'static str,
    value: &str,
    cap: usize,
) {
    if !value.is_empty() {
        let fit = object.text(key, value, cap);
        withheld.cut(key, fit, [value]);
    }
}

/// A count says something where it is not zero, and always in an outcome.
fn count(object: &mut Object<'_>, key: &'static str, value: u64, kind: Kind) {
    if value != 0 || kind == Kind::Outcome {
        object.integer(key, value);
    }
}
