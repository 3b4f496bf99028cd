//! A catalogue made by hand, in the shape that the queries answer with.

use weir_sql::{Catalog, Epoch, Sensitive, Unlabelled};

type Rows = Vec<Vec<Option<String>>>;

fn row(values: &[&str]) -> Vec<Option<String>> {
    values
        .iter()
        .map(|value| Some((*value).to_owned()))
        .collect()
}

/// (OID, schema, name, kind, columns)
const RELATIONS: &[(u32, &str, &str, &str, &[&str])] = &[
    (
        1001,
        "public",
        "customers",
        "r",
        &["id", "name", "ssn", "email", "notes", "tier"],
    ),
    (
        1002,
        "public",
        "accounts",
        "r",
        &["id", "owner_ssn", "balance"],
    ),
    (
        1003,
        "public",
        "v_contacts",
        "v",
        &["id", "name", "tax_ref", "contact"],
    ),
    (
        1004,
        "public",
        "mv_contacts",
        "m",
        &["id", "name", "tax_ref"],
    ),
    (1005, "public", "v_nested", "v", &["deep", "id"]),
    (1006, "public", "v_upper", "v", &["id", "loud"]),
    (1007, "public", "v_row", "v", &["id", "doc"]),
    (1008, "public", "v_names", "v", &["id", "name"]),
    (1009, "public", "decoy", "r", &["id", "ssn_ok"]),
    (1010, "shadow", "decoy", "r", &["id", "ssn_ok"]),
    (
        1011,
        "public",
        "orders",
        "r",
        &[
            "id",
            "customer_id",
            "total",
            "status",
            "tags",
            "meta",
            "created_at",
        ],
    ),
    (
        1012,
        "public",
        "order_items",
        "r",
        &["order_id", "line", "sku", "qty"],
    ),
    (1013, "public", "events", "p", &["id", "at", "subject_ssn"]),
    (
        1014,
        "public",
        "events_2026",
        "r",
        &["id", "at", "subject_ssn"],
    ),
    (
        1015,
        "public",
        "vip",
        "r",
        &["id", "name", "ssn", "email", "notes", "tier", "perk"],
    ),
    (1016, "public", "derived", "r", &["id", "ssn", "tail"]),
    (1017, "public", "dup", "r", &["a", "b"]),
    (1018, "shadow", "dup", "r", &["b", "a"]),
    (1019, "public", "v_calls", "v", &["id", "x"]),
    (1020, "public", "v_stats", "v", &["attname", "v"]),
    (1021, "public", "audited", "r", &["id", "note"]),
    (1022, "public", "ruled", "r", &["id"]),
    (
        1023,
        "public",
        "orders_id_seq",
        "S",
        &["last_value", "log_cnt", "is_called"],
    ),
    (
        1024,
        "pg_toast",
        "pg_toast_1001",
        "t",
        &["chunk_id", "chunk_seq", "chunk_data"],
    ),
    (1025, "pg_temp_3", "scratch", "r", &["id", "v"]),
    (1026, "shadow", "customers_log", "r", &["id", "line"]),
    (1027, "shadow", "wide", "r", &["id", "name", "ssn"]),
    (1028, "public", "wide", "r", &["ssn", "id"]),
    (
        1029,
        "public",
        "pg_stat_statements",
        "v",
        &["query", "calls"],
    ),
];

const SYSTEM: &[&str] = &[
    "pg_class",
    "pg_namespace",
    "pg_type",
    "pg_attribute",
    "pg_attrdef",
    "pg_description",
    "pg_inherits",
    "pg_stats",
    "pg_partitioned_table",
    "pg_stat_user_tables",
    "pg_settings",
    "pg_stat_activity",
    "pg_authid",
    "pg_shadow",
    "pg_roles",
    "pg_largeobject",
    "pg_statistic",
    "pg_stats_ext",
    "pg_user_mappings",
    "pg_prepared_statements",
    "pg_cursors",
    "pg_proc",
    "pg_statistic_ext_data",
    "pg_stats_ext_exprs",
    "pg_subscription",
    "pg_hba_file_rules",
    "pg_file_settings",
];

/// (attnum of the view, its origin's OID and attnum)
type Origins = &'static [(i16, u32, i16)];

const VIEW_OF_CUSTOMERS: &[(u32, Origins)] = &[
    (
        1003,
        &[(1, 1001, 1), (2, 1001, 2), (3, 1001, 3), (4, 1001, 4)],
    ),
    (1004, &[(1, 1001, 1), (2, 1001, 2), (3, 1001, 3)]),
    (1005, &[(1, 1003, 3), (2, 1003, 1)]),
    (1006, &[(1, 1001, 1)]),
    (1007, &[(1, 1001, 1)]),
    (1008, &[(1, 1001, 1), (2, 1001, 2)]),
    (1019, &[(1, 1009, 1)]),
    (1020, &[(1, 9007, 1)]),
];

fn rule(origins: &[(i16, u32, i16)], rest: &str) -> String {
    let targets: String = origins
        .iter()
        .map(|(at, table, column)| {
            format!(
                "{{TARGETENTRY :expr {{VAR :varno 1 :varattno {column} :location 7}} :resno {at} :resname c{at} \
                 :ressortgroupref 0 :resorigtbl {table} :resorigcol {column} :resjunk false}} "
            )
        })
        .collect();
    format!(
        "({{QUERY :commandType 1 :rtable ({{RTE :alias <>}}) :targetList ({targets}{rest}) :override 0}})"
    )
}

fn rest_of(view: u32) -> &'static str {
    match view {
        1006 => {
            "{TARGETENTRY :expr {FUNCEXPR :funcid 871 :args ({VAR :varattno 3})} :resno 2 :resorigtbl 0 :resorigcol 0 :resjunk false}"
        }
        1007 => {
            "{TARGETENTRY :expr {FUNCEXPR :funcid 3155 :args ({VAR :varattno 0})} :resno 2 :resorigtbl 0 :resorigcol 0 :resjunk false}"
        }
        1019 => {
            "{TARGETENTRY :expr {FUNCEXPR :funcid 5001 :args <>} :resno 2 :resorigtbl 0 :resorigcol 0 :resjunk false}"
        }
        _ => "",
    }
}

fn relations(shadowing: bool) -> Rows {
    let user = RELATIONS.iter().map(|(oid, schema, name, kind, _)| {
        let toast = if *oid == 1001 { "1024" } else { "0" };
        let temporary = if schema.starts_with("pg_temp") {
            "t"
        } else {
            "f"
        };
        row(&[&oid.to_string(), schema, name, kind, temporary, toast, "0"])
    });
    let system = SYSTEM.iter().zip(9000..).map(|(name, oid): (_, u32)| {
        row(&[&oid.to_string(), "pg_catalog", name, "r", "f", "0", "0"])
    });
    let schema = ["tables", "columns"]
        .iter()
        .zip(9500..)
        .map(|(name, oid): (_, u32)| {
            row(&[
                &oid.to_string(),
                "information_schema",
                name,
                "v",
                "f",
                "0",
                "0",
            ])
        });
    // Somebody's own, of the name of one that is the system's.
    let own = shadowing.then(|| row(&["9600", "shadow", "pg_settings", "v", "f", "0", "0"]));
    user.chain(system).chain(schema).chain(own).collect()
}

fn columns() -> Rows {
    let mut rows = Rows::new();
    for (oid, _, _, _, columns) in RELATIONS {
        for (at, name) in columns.iter().enumerate() {
            let generated = if *name == "tail" { "s" } else { "" };
            rows.push(row(&[
                &oid.to_string(),
                &(at + 1).to_string(),
                name,
                "25",
                "f",
                generated,
            ]));
        }
    }
    rows
}

fn functions(shadowing: bool) -> Rows {
    let mut rows = vec![
        row(&["871", "pg_catalog", "upper", "f", ""]),
        row(&["17001", "pg_catalog", "initcap_of", "f", "text"]),
        row(&["3155", "pg_catalog", "row_to_json", "f", ""]),
        row(&["5001", "public", "f1", "f", "integer"]),
        row(&["5002", "public", "similarity", "f", "text, text"]),
        row(&["5003", "shadow", "initcap", "f", "text"]),
        row(&[
            "5004",
            "public",
            "replace",
            "t",
            "public.citext, public.citext",
        ]),
        row(&["5006", "public", "twice", "f", "integer"]),
        row(&["5007", "public", "twice", "f", "text"]),
    ];
    if shadowing {
        rows.push(row(&["5005", "shadow", "lower", "f", "text"]));
    }
    rows
}

/// The catalogue; `shadowing` adds user objects with built-in names.
pub(crate) fn catalog_with(shadowing: bool) -> Catalog {
    build(shadowing, Vec::new())
}

/// The catalogue of a database where somebody has made an operator `=` for a built-in type.
pub(crate) fn catalog_altered() -> Catalog {
    build(false, vec![row(&["public", "="])])
}

fn build(shadowing: bool, equality: Rows) -> Catalog {
    let views = VIEW_OF_CUSTOMERS
        .iter()
        .map(|(oid, origins)| row(&[&oid.to_string(), &rule(origins, rest_of(*oid))]));
    let reads = [
        ("1003", "1001", "3"),
        ("1003", "1001", "4"),
        ("1003", "1001", "1"),
        ("1004", "1001", "3"),
        ("1005", "1003", "3"),
        ("1006", "1001", "3"),
        ("1006", "1001", "1"),
        ("1007", "1001", "1"),
        ("1008", "1001", "1"),
        ("1008", "1001", "2"),
        ("1019", "1009", "1"),
        ("1020", "9007", "1"),
    ];
    let operators: &[&[&str]] = if shadowing {
        &[
            &["@@@", "public", "opf", "t"],
            &["+", "shadow", "evil", "t"],
        ]
    } else {
        &[&["@@@", "public", "opf", "t"]]
    };
    let results = vec![
        vec![row(&["150018"])],
        relations(shadowing),
        columns(),
        vec![row(&["1014", "1013"]), row(&["1015", "1001"])],
        vec![
            row(&["1002", "2", "1001", "3"]),
            row(&["1011", "2", "1001", "1"]),
            row(&["1012", "1", "1011", "1"]),
        ],
        views.collect(),
        reads
            .iter()
            .map(|(view, relation, column)| row(&[view, relation, column]))
            .collect(),
        vec![row(&[
            "1016",
            "3",
            "{FUNCEXPR :funcid 3061 :args ({VAR :varno 1 :varattno 2})}",
        ])],
        functions(shadowing),
        operators.iter().map(|operator| row(operator)).collect(),
        vec![row(&["checked_text", "public", "checked", "t", "6001"])],
        vec![
            row(&["1021", "w", "public", "stamp"]),
            vec![Some("1022".into()), Some("u".into()), None, None],
        ],
        equality,
    ];
    Catalog::from_rows(Epoch(1), &results).expect("a catalogue")
}

pub(crate) fn catalog() -> Catalog {
    catalog_with(false)
}

pub(crate) fn sensitive(catalog: &Catalog) -> Sensitive {
    let wide = super::column("shadow.wide.ssn");
    let labels = super::labels()
        .into_iter()
        .chain([(wide, super::mask("redact"))]);
    Sensitive::close(catalog, labels, &Unlabelled::Clear)
}
