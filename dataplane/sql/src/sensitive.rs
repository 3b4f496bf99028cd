use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use weir_facts::{ColumnId, ColumnName, MaskRule, RelationName, RelationOid, Reveal};

use crate::catalog::{Catalog, View};

/// What holds for a column that no label names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlabelled {
    /// It may be shown.
    Clear,
    /// It is shown like this. Columns labelled with [`Reveal::Clear`] stay clear.
    Hidden(Reveal),
}

/// Why a column is sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What of it reaches the client.
    pub reveal: Reveal,
    /// The labelled columns that it copies or is computed from; policy is asked about these
    /// as well as about the column itself.
    pub sources: Vec<ColumnId>,
    /// It is, or copies, something that was worked out from sensitive columns: equal values of
    /// it need not be equal values of those.
    pub computed: bool,
}

/// The columns that must not reach the client as they are: labelled ones and, closed over
/// the catalogue, every column that holds the same values.
#[derive(Clone, Debug, Default)]
pub struct Sensitive {
    marks: HashMap<ColumnId, Mark>,
    relations: HashSet<RelationOid>,
    touchy: HashSet<RelationOid>,
    shown: HashSet<ColumnId>,
    unresolved: Vec<ColumnName>,
    vouched: HashSet<RelationName>,
}

/// A function that an administrator declares to be harmless: it tells nothing but what its
/// arguments say, and does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vouched {
    /// Its schema and name.
    pub name: RelationName,
    /// Its argument types as psql names them, joined by `, `.
    pub arguments: Arc<str>,
}

impl Sensitive {
    /// Closes `labelled` over the catalogue. A label [`Reveal::Clear`] exempts a column and
    /// its copies from `unlabelled`, but not from what another label says of them.
    ///
    /// - a view's bare column takes its origin's mark; any other column of a view that reads
    ///   a sensitive column is computed from it;
    /// - parents, children and partitions share marks by column name;
    /// - both ends of a foreign key share marks;
    /// - a generated column and a toast table are computed from their relation's columns.
    ///
    /// A computed column is never shown by a mask that keeps a part, since the part need not
    /// be where it was: it becomes NULL, or stays denied.
    #[must_use]
    pub fn close(
        catalog: &Catalog,
        labelled: impl IntoIterator<Item = (ColumnName, Reveal)>,
        unlabelled: &Unlabelled,
    ) -> Self {
        let mut closure = Self::default();
        let copies = copies(catalog);
        let mut clear = closure.seed(catalog, labelled);
        while closure.spread(catalog, &copies) {}
        while !clear.is_empty()
            && copies.iter().fold(false, |more, (from, to)| {
                more | (clear.contains(from) && clear.insert(*to))
            })
        {}
        if let Unlabelled::Hidden(reveal) = unlabelled {
            closure.hide_rest(catalog, &clear, reveal);
        }
        clear.retain(|id| !closure.marks.contains_key(id));
        closure.shown = clear;
        closure.index(catalog);
        closure
    }

    /// Takes functions as known, each by its schema, name and argument types. Which overload a call
    /// means is the server's to find, so that a name counts once every overload of it is vouched for.
    #[must_use]
    pub fn vouching<'v>(
        mut self,
        catalog: &Catalog,
        vouched: impl IntoIterator<Item = &'v Vouched>,
    ) -> Self {
        let mut oids: HashSet<u32> = HashSet::new();
        let mut names: HashSet<&RelationName> = HashSet::new();
        for Vouched { name, arguments } in vouched {
            let overloads = catalog.overloads.get(name).into_iter().flatten();
            let found = overloads.filter(|(_, types)| types == arguments);
            oids.extend(found.map(|(oid, _)| *oid));
            names.insert(name);
        }
        let whole = |name: &&RelationName| {
            let overloads = catalog.overloads.get(*name);
            overloads.is_some_and(|all| all.iter().all(|(oid, _)| oids.contains(oid)))
        };
        self.vouched = names.into_iter().filter(whole).cloned().collect();
        self
    }

    /// Whether every function of that schema and name is vouched for.
    pub(crate) fn vouches(&self, name: &RelationName) -> bool {
        self.vouched.contains(name)
    }

    /// Nothing is sensitive.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Why a column is sensitive; `None` if it is not.
    #[must_use]
    pub fn mark(&self, column: ColumnId) -> Option<&Mark> {
        self.marks.get(&column)
    }

    /// Whether a label says that a column, or one that it copies, may be shown as it is.
    #[must_use]
    pub fn is_shown_by_label(&self, column: ColumnId) -> bool {
        self.shown.contains(&column)
    }

    /// What of a column the client may see; `None` is all of it.
    #[must_use]
    pub fn reveal(&self, column: ColumnId) -> Option<&Reveal> {
        self.marks.get(&column).map(|mark| &mark.reveal)
    }

    /// Every sensitive column.
    pub fn columns(&self) -> impl Iterator<Item = (ColumnId, &Mark)> {
        self.marks.iter().map(|(id, mark)| (*id, mark))
    }

    /// Whether a relation has a sensitive column.
    #[must_use]
    pub fn holds(&self, relation: RelationOid) -> bool {
        self.relations.contains(&relation)
    }

    /// Whether an error raised by writing to a relation can quote a sensitive value: its own,
    /// or one of a relation that a foreign key or inheritance ties to it.
    #[must_use]
    pub fn touches(&self, relation: RelationOid) -> bool {
        self.touchy.contains(&relation)
    }

    /// Labels that name no column of this catalogue: misspelled, dropped, or not yet made.
    #[must_use]
    pub fn unresolved(&self) -> &[ColumnName] {
        &self.unresolved
    }

    /// Marks labelled columns; the ones labelled clear are returned.
    fn seed(
        &mut self,
        catalog: &Catalog,
        labelled: impl IntoIterator<Item = (ColumnName, Reveal)>,
    ) -> HashSet<ColumnId> {
        let mut clear = HashSet::new();
        for (name, reveal) in labelled {
            match catalog.column_id(&name) {
                None => self.unresolved.push(name),
                Some(id) if matches!(reveal, Reveal::Clear) => {
                    clear.insert(id);
                }
                Some(id) => {
                    self.add(id, &reveal, &[id]);
                }
            }
        }
        clear
    }

    /// One round over every edge; whether anything changed.
    fn spread(&mut self, catalog: &Catalog, copies: &[(ColumnId, ColumnId)]) -> bool {
        let mut changed = false;
        for (from, to) in copies {
            changed |= self.copy(*from, *to);
        }
        for (oid, view) in &catalog.views {
            changed |= self.spread_view(catalog, *oid, view);
        }
        for (column, inputs) in &catalog.generated {
            for attnum in inputs {
                let inputs = self.inputs(ColumnId {
                    relation: column.relation,
                    attnum: *attnum,
                });
                changed |= self.compute(*column, &inputs);
            }
        }
        for (toast, owner) in &catalog.toast {
            let inputs = self.inputs(ColumnId {
                relation: *owner,
                attnum: 0,
            });
            for column in catalog
                .relation(*toast)
                .into_iter()
                .flat_map(|relation| &relation.columns)
            {
                changed |= self.compute(
                    ColumnId {
                        relation: *toast,
                        attnum: column.attnum,
                    },
                    &inputs,
                );
            }
        }
        changed
    }

    /// Columns of a view that are no bare columns are computed from whatever it reads.
    fn spread_view(&mut self, catalog: &Catalog, oid: RelationOid, view: &View) -> bool {
        let Some(relation) = catalog.relation(oid) else {
            return false;
        };
        let inputs: Vec<Mark> = view
            .reads
            .iter()
            .flat_map(|read| {
                self.inputs(if view.whole_row {
                    ColumnId { attnum: 0, ..*read }
                } else {
                    *read
                })
            })
            .collect();
        let computed = relation
            .columns
            .iter()
            .filter(|column| bare_origin(view, column.attnum).is_none());
        computed.fold(false, |changed, column| {
            changed
                | self.compute(
                    ColumnId {
                        relation: oid,
                        attnum: column.attnum,
                    },
                    &inputs,
                )
        })
    }

    /// Hides every column that neither a label nor lineage speaks of.
    fn hide_rest(&mut self, catalog: &Catalog, clear: &HashSet<ColumnId>, reveal: &Reveal) {
        for relation in catalog
            .relations
            .values()
            .filter(|relation| !relation.is_system())
        {
            for column in &relation.columns {
                let id = ColumnId {
                    relation: relation.oid,
                    attnum: column.attnum,
                };
                if !clear.contains(&id) && !self.marks.contains_key(&id) {
                    self.add(id, reveal, &[id]);
                }
            }
        }
    }

    /// The marks of a column, or of every column where the attribute number is 0.
    fn inputs(&self, read: ColumnId) -> Vec<Mark> {
        if read.attnum != 0 {
            return self.marks.get(&read).cloned().into_iter().collect();
        }
        let of_relation = self
            .marks
            .iter()
            .filter(|(id, _)| id.relation == read.relation);
        let mut marks: Vec<_> = of_relation.map(|(id, mark)| (*id, mark.clone())).collect();
        marks.sort_by_key(|(id, _)| *id);
        marks.into_iter().map(|(_, mark)| mark).collect()
    }

    fn copy(&mut self, from: ColumnId, to: ColumnId) -> bool {
        match self.marks.get(&from).cloned() {
            Some(mark) => {
                self.add(to, &mark.reveal, &mark.sources) | self.set_computed(to, mark.computed)
            }
            None => false,
        }
    }

    fn compute(&mut self, column: ColumnId, inputs: &[Mark]) -> bool {
        inputs.iter().fold(false, |changed, mark| {
            let reveal = match &mark.reveal {
                Reveal::Mask(_, policy) => Reveal::Mask(MaskRule::Null, policy.clone()),
                other @ (Reveal::Clear | Reveal::Deny(_)) => other.clone(),
            };
            changed | self.add(column, &reveal, &mark.sources) | self.set_computed(column, true)
        })
    }

    /// Notes that a marked column is worked out; whether that is news.
    fn set_computed(&mut self, id: ColumnId, computed: bool) -> bool {
        let Some(mark) = self.marks.get_mut(&id).filter(|_| computed) else {
            return false;
        };
        !std::mem::replace(&mut mark.computed, true)
    }

    /// Adds a mark, keeping the stricter reveal; whether anything changed.
    fn add(&mut self, id: ColumnId, reveal: &Reveal, sources: &[ColumnId]) -> bool {
        if matches!(reveal, Reveal::Clear) {
            return false;
        }
        let mark = self.marks.entry(id).or_insert_with(|| Mark {
            reveal: Reveal::Clear,
            sources: Vec::new(),
            computed: false,
        });
        let mut changed = false;
        if strictness(reveal) > strictness(&mark.reveal) {
            mark.reveal = reveal.clone();
            changed = true;
        }
        for source in sources {
            if let Err(at) = mark.sources.binary_search(source) {
                mark.sources.insert(at, *source);
                changed = true;
            }
        }
        changed
    }

    fn index(&mut self, catalog: &Catalog) {
        self.relations = self.marks.keys().map(|id| id.relation).collect();
        self.touchy = self.relations.clone();
        let keys = catalog.foreign_keys.iter().map(|key| (key.from, key.to));
        let ties: Vec<_> = keys.chain(catalog.inheritance.iter().copied()).collect();
        // Cascades run along chains of keys, so ties are followed to their end.
        loop {
            let before = self.touchy.len();
            for (a, b) in &ties {
                if self.touchy.contains(a) || self.touchy.contains(b) {
                    self.touchy.extend([*a, *b]);
                }
            }
            if self.touchy.len() == before {
                return;
            }
        }
    }
}

/// Pairs of columns of which the second holds values of the first, unchanged: bare columns of
/// views, columns of one name along inheritance, both ends of foreign keys.
fn copies(catalog: &Catalog) -> Vec<(ColumnId, ColumnId)> {
    let mut copies = Vec::new();
    for (oid, view) in &catalog.views {
        for attnum in view.origins.keys() {
            if let Some(origin) = bare_origin(view, *attnum) {
                copies.push((
                    origin,
                    ColumnId {
                        relation: *oid,
                        attnum: *attnum,
                    },
                ));
            }
        }
    }
    for (child, parent) in &catalog.inheritance {
        let (Some(child), Some(parent)) = (catalog.relation(*child), catalog.relation(*parent))
        else {
            continue;
        };
        for column in &child.columns {
            let Some(twin) = parent.column_named(&column.name) else {
                continue;
            };
            let below = ColumnId {
                relation: child.oid,
                attnum: column.attnum,
            };
            let above = ColumnId {
                relation: parent.oid,
                attnum: twin.attnum,
            };
            copies.extend([(below, above), (above, below)]);
        }
    }
    for key in &catalog.foreign_keys {
        for (from, to) in &key.columns {
            let from = ColumnId {
                relation: key.from,
                attnum: *from,
            };
            let to = ColumnId {
                relation: key.to,
                attnum: *to,
            };
            copies.extend([(from, to), (to, from)]);
        }
    }
    copies
}

/// Where a view's column comes from, if it is a bare column of another relation.
fn bare_origin(view: &View, attnum: i16) -> Option<ColumnId> {
    view.origins
        .get(&attnum)
        .copied()
        .filter(|origin| origin.attnum > 0)
}

/// Orders reveals: a greater number shows less. Two rules of equal strictness keep the first.
fn strictness(reveal: &Reveal) -> u16 {
    match reveal {
        Reveal::Clear => 0,
        Reveal::Mask(rule, _) => match rule {
            MaskRule::KeepFirst(n) | MaskRule::KeepLast(n) => 300 - u16::from(*n),
            MaskRule::PartialEmail => 310,
            MaskRule::DateYear => 320,
            MaskRule::Digits => 330,
            MaskRule::Hash => 340,
            MaskRule::Redact => 350,
            MaskRule::Fixed(_) => 360,
            MaskRule::Null => 370,
        },
        Reveal::Deny(_) => 400,
    }
}

/// The stricter of two reveals.
pub(crate) fn stricter<'a>(a: &'a Reveal, b: &'a Reveal) -> &'a Reveal {
    if strictness(b) > strictness(a) { b } else { a }
}
