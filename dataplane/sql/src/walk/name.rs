//! The name that the server gives to a result column without AS (`FigureColname` in
//! parse_target.c).

use pg_raw_parse::nodes::TypeName;
use pg_raw_parse::raw::{
    A_Expr_Kind, JsonExprOp, MinMaxOp, SQLValueFunctionOp, SubLinkType, XmlExprOp,
};
use pg_raw_parse::{Node, list};

/// From this version, EXTRACT is a function of its own and no longer `date_part`.
const EXTRACT_SINCE: u32 = 140_000;

/// Names nested deeper than this are `?column?` to us; the walk has refused by then.
const DEPTH_MAX: u16 = 250;

/// The field's name.
pub(super) fn of(node: Node<'_>, server_version: u32) -> String {
    figure(node, server_version, 0)
        .0
        .unwrap_or_else(|| "?column?".to_owned())
}

type Figured = (Option<String>, u8);

fn strong(name: &str) -> Figured {
    (Some(name.to_owned()), 2)
}

const NONE: Figured = (None, 0);

fn figure(node: Node<'_>, version: u32, depth: u16) -> Figured {
    if depth > DEPTH_MAX {
        return NONE;
    }
    match node {
        Node::ColumnRef(reference) => last(reference.fields()),
        Node::A_Indirection(path) => match last(path.indirection()) {
            NONE => figure(path.arg(), version, depth + 1),
            found => found,
        },
        Node::FuncCall(call) => match last(call.funcname()) {
            (Some(name), strength) if name == "extract" && version < EXTRACT_SINCE => {
                (Some("date_part".into()), strength)
            }
            found => found,
        },
        Node::A_Expr(operation) if operation.kind == A_Expr_Kind::AEXPR_NULLIF => strong("nullif"),
        Node::TypeCast(cast) => match figure(cast.arg(), version, depth + 1) {
            weak if weak.1 <= 1 => type_name(cast.type_name()).unwrap_or(weak),
            found => found,
        },
        Node::CollateClause(collate) => figure(collate.arg(), version, depth + 1),
        Node::GroupingFunc(_) => strong("grouping"),
        Node::MergeSupportFunc(_) => strong("merge_action"),
        Node::SubLink(link) => match link.sub_link_type {
            SubLinkType::EXISTS_SUBLINK => strong("exists"),
            SubLinkType::ARRAY_SUBLINK => strong("array"),
            SubLinkType::EXPR_SUBLINK => of_sub_select(link.subselect(), version, depth + 1),
            _ => NONE,
        },
        Node::CaseExpr(case) => match figure(case.defresult(), version, depth + 1) {
            weak if weak.1 <= 1 => (Some("case".into()), 1),
            found => found,
        },
        Node::A_ArrayExpr(_) => strong("array"),
        Node::RowExpr(_) => strong("row"),
        Node::CoalesceExpr(_) => strong("coalesce"),
        Node::MinMaxExpr(all) => strong(if all.op == MinMaxOp::IS_GREATEST {
            "greatest"
        } else {
            "least"
        }),
        Node::SQLValueFunction(function) => value_function(function.op),
        Node::XmlExpr(xml) => xml_function(xml.op),
        Node::XmlSerialize(_) => strong("xmlserialize"),
        json => json_function(json),
    }
}

/// The last name of a path; stars and subscripts have none.
fn last(path: &list::NodeList) -> Figured {
    let name = path.into_iter().rev().find_map(Node::as_str);
    name.map_or(NONE, |name| (Some(name.to_owned()), 2))
}

fn type_name(name: Option<&TypeName>) -> Option<Figured> {
    let last = name?.names().iter().rev().find_map(|part| part.sval())?;
    Some((Some(last.to_owned()), 1))
}

/// A scalar sub-select takes the name of its only column.
fn of_sub_select(node: Node<'_>, version: u32, depth: u16) -> Figured {
    let Node::SelectStmt(mut select) = node else {
        return NONE;
    };
    while let Some(left) = select.larg() {
        select = left;
    }
    if !select.values_lists().is_empty() {
        return strong("column1");
    }
    let Some(target) = select.target_list().iter().next() else {
        return NONE;
    };
    match target.name() {
        Some(name) => strong(name),
        None => match figure(target.val(), version, depth + 1) {
            (Some(name), _) => (Some(name), 2),
            (None, _) => strong("?column?"),
        },
    }
}

fn value_function(op: SQLValueFunctionOp::Type) -> Figured {
    match op {
        SQLValueFunctionOp::SVFOP_CURRENT_DATE => strong("current_date"),
        SQLValueFunctionOp::SVFOP_CURRENT_TIME | SQLValueFunctionOp::SVFOP_CURRENT_TIME_N => {
            strong("current_time")
        }
        SQLValueFunctionOp::SVFOP_CURRENT_TIMESTAMP
        | SQLValueFunctionOp::SVFOP_CURRENT_TIMESTAMP_N => strong("current_timestamp"),
        SQLValueFunctionOp::SVFOP_LOCALTIME | SQLValueFunctionOp::SVFOP_LOCALTIME_N => {
            strong("localtime")
        }
        SQLValueFunctionOp::SVFOP_LOCALTIMESTAMP | SQLValueFunctionOp::SVFOP_LOCALTIMESTAMP_N => {
            strong("localtimestamp")
        }
        SQLValueFunctionOp::SVFOP_CURRENT_ROLE => strong("current_role"),
        SQLValueFunctionOp::SVFOP_CURRENT_USER => strong("current_user"),
        SQLValueFunctionOp::SVFOP_USER => strong("user"),
        SQLValueFunctionOp::SVFOP_SESSION_USER => strong("session_user"),
        SQLValueFunctionOp::SVFOP_CURRENT_CATALOG => strong("current_catalog"),
        SQLValueFunctionOp::SVFOP_CURRENT_SCHEMA => strong("current_schema"),
        _ => NONE,
    }
}

fn xml_function(op: XmlExprOp::Type) -> Figured {
    match op {
        XmlExprOp::IS_XMLCONCAT => strong("xmlconcat"),
        XmlExprOp::IS_XMLELEMENT => strong("xmlelement"),
        XmlExprOp::IS_XMLFOREST => strong("xmlforest"),
        XmlExprOp::IS_XMLPARSE => strong("xmlparse"),
        XmlExprOp::IS_XMLPI => strong("xmlpi"),
        XmlExprOp::IS_XMLROOT => strong("xmlroot"),
        XmlExprOp::IS_XMLSERIALIZE => strong("xmlserialize"),
        _ => NONE,
    }
}

fn json_function(node: Node<'_>) -> Figured {
    match node {
        Node::JsonParseExpr(_) => strong("json"),
        Node::JsonScalarExpr(_) => strong("json_scalar"),
        Node::JsonSerializeExpr(_) => strong("json_serialize"),
        Node::JsonObjectConstructor(_) => strong("json_object"),
        Node::JsonArrayConstructor(_) | Node::JsonArrayQueryConstructor(_) => strong("json_array"),
        Node::JsonObjectAgg(_) => strong("json_objectagg"),
        Node::JsonArrayAgg(_) => strong("json_arrayagg"),
        Node::JsonFuncExpr(json) => match json.op {
            JsonExprOp::JSON_EXISTS_OP => strong("json_exists"),
            JsonExprOp::JSON_QUERY_OP => strong("json_query"),
            JsonExprOp::JSON_VALUE_OP => strong("json_value"),
            _ => NONE,
        },
        _ => NONE,
    }
}
