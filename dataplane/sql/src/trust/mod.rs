//! What ships as known: functions, system relations and parameters. Everything that is not
//! named here is asked of policy.

mod harmless;

use weir_facts::RelationName;

/// A function of pg_catalog that only computes from its arguments, or tells what the
/// catalogue or the clock says.
pub(crate) fn is_harmless_function(name: &str) -> bool {
    harmless::HARMLESS.binary_search(&name).is_ok()
}

/// A function of information_schema that only computes from its arguments: its views are made of
/// these, and pgjdbc calls `_pg_expandarray` for the keys of a table. Sorted.
pub(crate) fn is_harmless_in_information_schema(name: &str) -> bool {
    const HARMLESS: [&str; 11] = [
        "_pg_char_max_length",
        "_pg_char_octet_length",
        "_pg_datetime_precision",
        "_pg_expandarray",
        "_pg_index_position",
        "_pg_interval_type",
        "_pg_numeric_precision",
        "_pg_numeric_precision_radix",
        "_pg_numeric_scale",
        "_pg_truetypid",
        "_pg_truetypmod",
    ];
    HARMLESS.binary_search(&name).is_ok()
}

/// Whether a function of this name may run unasked behind an operator, a cast or a view.
pub(crate) fn is_known_function(function: &RelationName) -> bool {
    match &*function.schema {
        // Views may show a sequence and a setting that a statement is asked about.
        "pg_catalog" => {
            is_harmless_function(&function.name)
                || matches!(&*function.name, "currval" | "current_setting")
        }
        "information_schema" => true,
        _ => false,
    }
}

/// Output columns of functions that return rows, where they are not one column named as the
/// function.
pub(crate) fn function_columns(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "json_each" | "jsonb_each" | "json_each_text" | "jsonb_each_text" | "each" => {
            &["key", "value"]
        }
        "json_array_elements"
        | "jsonb_array_elements"
        | "json_array_elements_text"
        | "jsonb_array_elements_text" => &["value"],
        "aclexplode" => &["grantor", "grantee", "privilege_type", "is_grantable"],
        "pg_options_to_table" => &["option_name", "option_value"],
        "pg_partition_tree" => &["relid", "parentrelid", "isleaf", "level"],
        "pg_partition_ancestors" => &["relid"],
        "pg_timezone_names" => &["name", "abbrev", "utc_offset", "is_dst"],
        "pg_timezone_abbrevs" => &["abbrev", "utc_offset", "is_dst"],
        "pg_get_keywords" => &["word", "catcode", "barelabel", "catdesc", "baredesc"],
        "pg_sequence_parameters" => &[
            "start_value",
            "minimum_value",
            "maximum_value",
            "increment",
            "cycle_option",
            "cache_size",
            "data_type",
        ],
        "ts_debug" => &[
            "alias",
            "description",
            "token",
            "dictionaries",
            "dictionary",
            "lexemes",
        ],
        "_pg_expandarray" => &["x", "n"],
        "ts_parse" => &["tokid", "token"],
        "ts_token_type" => &["tokid", "alias", "description"],
        _ => return None,
    })
}

/// Functions whose result's columns depend on an argument's type or on a column list.
pub(crate) fn returns_open_record(name: &str) -> bool {
    matches!(
        name,
        "json_populate_record"
            | "jsonb_populate_record"
            | "json_populate_recordset"
            | "jsonb_populate_recordset"
            | "json_to_record"
            | "jsonb_to_record"
            | "json_to_recordset"
            | "jsonb_to_recordset"
            | "pg_available_extensions"
            | "pg_available_extension_versions"
            | "pg_extension_update_paths"
            | "pg_lock_status"
            | "pg_identify_object"
            | "pg_identify_object_as_address"
            | "pg_get_object_address"
            | "pg_get_catalog_foreign_keys"
            | "pg_get_publication_tables"
            | "pg_walfile_name_offset"
            | "unnest"
            | "xpath"
    )
}

/// A system relation that can carry values of other relations, other sessions' statements,
/// or credentials.
pub(crate) fn carries_values(schema: &str, name: &str) -> bool {
    if name.starts_with("pg_stat_statements") {
        return true;
    }
    match schema {
        "pg_catalog" => system_carries_values(name),
        "information_schema" => matches!(name, "user_mapping_options" | "_pg_user_mappings"),
        "pg_toast" => true,
        _ => false,
    }
}

fn system_carries_values(name: &str) -> bool {
    const NUMBERS: [&str; 9] = [
        "pg_stat_bgwriter",
        "pg_stat_checkpointer",
        "pg_stat_database",
        "pg_stat_database_conflicts",
        "pg_stat_io",
        "pg_stat_recovery_prefetch",
        "pg_stat_slru",
        "pg_stat_wal",
        "pg_stat_archiver",
    ];
    const COUNTED: [&str; 6] = [
        "pg_stat_all_",
        "pg_stat_sys_",
        "pg_stat_user_",
        "pg_stat_xact_",
        "pg_stat_progress_",
        "pg_statio_",
    ];
    if name.starts_with("pg_stat") {
        let counts = COUNTED.iter().any(|prefix| name.starts_with(prefix));
        // The relation of extended statistics tells which exist; their contents are in _data.
        return !(counts || NUMBERS.contains(&name) || name == "pg_statistic_ext");
    }
    // Owners and rights of large objects are in _metadata; what they hold is not.
    name == "pg_largeobject"
        || name.starts_with("pg_user_mapping")
        || matches!(
            name,
            "pg_authid"
                | "pg_shadow"
                | "pg_prepared_statements"
                | "pg_prepared_xacts"
                | "pg_cursors"
                | "pg_file_settings"
                | "pg_hba_file_rules"
                | "pg_ident_file_mappings"
                | "pg_subscription"
                | "pg_db_role_setting"
                | "pg_backend_memory_contexts"
                | "pg_replication_slots"
        )
}

/// Whether `SET name = value` changes neither what Weir believes of the session nor who acts
/// in it. `search_path` is here because names are resolved without it.
pub(crate) fn is_harmless_setting(name: &str, value: Option<&str>) -> bool {
    match name {
        "client_encoding" => value.is_some_and(|value| {
            value.eq_ignore_ascii_case("utf8")
                || value.eq_ignore_ascii_case("utf-8")
                || value.eq_ignore_ascii_case("unicode")
        }),
        "standard_conforming_strings" => value.is_some_and(|value| {
            ["on", "true", "yes", "1"]
                .iter()
                .any(|on| value.eq_ignore_ascii_case(on))
        }),
        // No more than what is told by default: lower levels tell of what the server does.
        "client_min_messages" => value.is_some_and(|value| {
            ["notice", "warning", "error"]
                .iter()
                .any(|level| value.eq_ignore_ascii_case(level))
        }),
        _ => HARMLESS_SETTINGS.contains(&name),
    }
}

/// Whether RESET or SET … TO DEFAULT of it is as harmless: what the startup message pinned
/// comes back.
pub(crate) fn is_harmless_reset(name: &str) -> bool {
    matches!(name, "client_encoding" | "standard_conforming_strings")
        || HARMLESS_SETTINGS.contains(&name)
}

const HARMLESS_SETTINGS: &[&str] = &[
    "application_name",
    "bytea_output",
    "check_function_bodies",
    "constraint_exclusion",
    "cursor_tuple_fraction",
    "datestyle",
    "deadlock_timeout",
    "default_statistics_target",
    "default_toast_compression",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "default_table_access_method",
    "default_tablespace",
    "effective_cache_size",
    "effective_io_concurrency",
    "enable_async_append",
    "enable_bitmapscan",
    "enable_gathermerge",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_incremental_sort",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_memoize",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_parallel_append",
    "enable_parallel_hash",
    "enable_partition_pruning",
    "enable_partitionwise_aggregate",
    "enable_partitionwise_join",
    "enable_seqscan",
    "enable_sort",
    "enable_tidscan",
    "extra_float_digits",
    "force_parallel_mode",
    "from_collapse_limit",
    "geqo",
    "geqo_threshold",
    "gin_fuzzy_search_limit",
    "hash_mem_multiplier",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "join_collapse_limit",
    "lock_timeout",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "plan_cache_mode",
    "quote_all_identifiers",
    "random_page_cost",
    // Takes kinds of relations away from queries; its default is to take none.
    "restrict_nonsystem_relation_kind",
    "row_security",
    "search_path",
    "seq_page_cost",
    "session characteristics",
    "statement_timeout",
    "synchronize_seqscans",
    "synchronous_commit",
    "temp_buffers",
    "temp_tablespaces",
    "timezone",
    "transaction",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "transaction_timeout",
    "vacuum_cost_delay",
    "work_mem",
    "xmlbinary",
    "xmloption",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_functions_is_sorted_and_names_no_executor_of_text() {
        assert!(harmless::HARMLESS.is_sorted());
        for name in [
            "query_to_xml",
            "cursor_to_xml",
            "table_to_xml",
            "schema_to_xml",
            "database_to_xml",
            "ts_stat",
            "ts_rewrite",
            "set_config",
            "current_setting",
            "pg_notify",
            "nextval",
            "setval",
            "currval",
            "lo_get",
            "lo_import",
            "loread",
            "pg_read_file",
            "pg_read_binary_file",
            "pg_ls_dir",
            "pg_stat_file",
            "pg_cursor",
            "pg_prepared_statement",
            "pg_stat_get_activity",
            "pg_terminate_backend",
            "pg_cancel_backend",
            "pg_reload_conf",
            "pg_switch_wal",
            "pg_logical_slot_get_changes",
            "pg_show_all_file_settings",
            "pg_hba_file_rules",
            "pg_mcv_list_items",
            "pg_sequence_last_value",
            "currtid2",
            "pg_get_backend_memory_contexts",
            "lowrite",
            "pg_logical_emit_message",
            "suppress_redundant_updates_trigger",
            "pg_extension_config_dump",
            "pg_promote",
            "lo_open",
            "lo_from_bytea",
            "pg_relation_filepath",
            "pg_current_logfile",
            "has_sequence_last_value",
            "xmlparse_file",
        ] {
            assert!(!is_harmless_function(name), "{name}");
        }
        for name in [
            "count",
            "lower",
            "now",
            "format_type",
            "pg_get_expr",
            "jsonb_agg",
            "date_trunc",
            "row_number",
        ] {
            assert!(is_harmless_function(name), "{name}");
        }
    }

    #[test]
    fn system_relations_with_values_are_told_from_those_without() {
        for name in [
            "pg_stats",
            "pg_stats_ext",
            "pg_stats_ext_exprs",
            "pg_statistic",
            "pg_statistic_ext_data",
            "pg_stat_activity",
            "pg_stat_replication",
            "pg_authid",
            "pg_shadow",
            "pg_user_mapping",
            "pg_user_mappings",
            "pg_largeobject",
            "pg_cursors",
            "pg_subscription",
            "pg_stat_ssl",
            "pg_stat_wal_receiver",
        ] {
            assert!(carries_values("pg_catalog", name), "{name}");
        }
        for name in [
            "pg_class",
            "pg_attribute",
            "pg_type",
            "pg_largeobject_metadata",
            "pg_stat_user_tables",
            "pg_statio_all_tables",
            "pg_roles",
            "pg_settings",
        ] {
            assert!(!carries_values("pg_catalog", name), "{name}");
        }
        assert!(carries_values("public", "pg_stat_statements"));
    }

    #[test]
    fn settings_that_change_meaning_or_identity_are_not_harmless() {
        for (name, value) in [
            ("role", Some("x")),
            ("session_authorization", Some("x")),
            ("session_replication_role", Some("replica")),
            ("standard_conforming_strings", Some("off")),
            ("client_encoding", Some("sjis")),
            ("client_encoding", None),
            ("client_min_messages", Some("debug5")),
            ("client_min_messages", Some("log")),
            ("client_min_messages", None),
            ("my.x", Some("1")),
            ("log_statement", Some("none")),
            ("backslash_quote", Some("on")),
            ("local_preload_libraries", Some("x")),
            ("debug_print_parse", Some("on")),
            ("exit_on_error", Some("on")),
            ("lo_compat_privileges", Some("on")),
            ("allow_system_table_mods", Some("on")),
        ] {
            assert!(!is_harmless_setting(name, value), "{name}");
        }
        assert!(is_harmless_setting("client_encoding", Some("UTF8")));
        assert!(is_harmless_setting("search_path", Some("x")));
        assert!(is_harmless_setting("client_min_messages", Some("WARNING")));
        assert!(!is_harmless_reset("role"));
    }
}
