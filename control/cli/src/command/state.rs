use reqwest::Method;
use weir_api::http::{self, Mode, NodeMade, NodeNew, Push};

use super::login::{or_none, word};
use crate::arguments::{Guard, Lock, Node, Workload};
use crate::client::{Client, NOTHING};
use crate::output::{Output, when};

/// Names for local processes.
pub(crate) async fn workload(
    client: &Client,
    out: Output,
    command: Workload,
) -> anyhow::Result<()> {
    match command {
        Workload::Add {
            name,
            uid,
            cgroup,
            executable,
            groups,
            owner,
        } => {
            let rule = http::Workload {
                name,
                uid,
                cgroup,
                executable,
                groups,
                owner,
            };
            client
                .tell(Method::PUT, &["workloads"], &[], Some(&rule))
                .await?;
            out.done(&format!("added {}", rule.name))
        }
        Workload::Remove { name } => {
            client
                .tell(Method::DELETE, &["workloads", &name], &[], NOTHING)
                .await?;
            out.done(&format!("removed {name}"))
        }
        Workload::List => {
            let rules: Vec<http::Workload> = client.get(&["workloads"]).await?;
            let rows = rules.iter().map(|rule| {
                let conditions = [
                    rule.uid.map(|uid| format!("uid {uid}")),
                    rule.cgroup
                        .as_ref()
                        .map(|cgroup| format!("cgroup {cgroup}")),
                    rule.executable
                        .as_ref()
                        .map(|path| format!("executable {path}")),
                ];
                let conditions: Vec<String> = conditions.into_iter().flatten().collect();
                let owner = rule.owner.clone().unwrap_or_else(|| "nobody".to_owned());
                [
                    rule.name.clone(),
                    conditions.join(" and "),
                    or_none(&rule.groups),
                    owner,
                ]
            });
            out.table(&rules, ["NAME", "MATCHES", "GROUPS", "OWNER"], rows)
        }
    }
}

/// `all`, a path as it is, anything else as a systemd unit.
fn target(text: &str) -> String {
    match text {
        "all" => "all".to_owned(),
        _ if text.starts_with('/') || text.starts_with("unit:") => text.to_owned(),
        _ if text.contains('.') => format!("unit:{text}"),
        _ => format!("unit:{text}.service"),
    }
}

/// Whose connections are taken.
pub(crate) async fn guard(client: &Client, out: Output, command: Guard) -> anyhow::Result<()> {
    match command {
        Guard::Add {
            target: text,
            observe,
        } => {
            let mode = if observe {
                Mode::Observe
            } else {
                Mode::Enforce
            };
            let guard = http::Guard {
                cgroup: target(&text),
                mode,
            };
            client
                .tell(Method::PUT, &["guards"], &[], Some(&guard))
                .await?;
            out.done(&format!(
                "{} {}",
                if observe { "observes" } else { "guards" },
                guard.cgroup
            ))
        }
        Guard::Remove { target: text } => {
            let cgroup = target(&text);
            client
                .tell(Method::DELETE, &["guards"], &[("cgroup", &cgroup)], NOTHING)
                .await?;
            out.done(&format!("no longer guards {cgroup}"))
        }
        Guard::List => {
            let guards: Vec<http::Guard> = client.get(&["guards"]).await?;
            let rows = guards
                .iter()
                .map(|guard| [guard.cgroup.clone(), word(&guard.mode)]);
            out.table(&guards, ["CGROUP", "MODE"], rows)
        }
    }
}

/// End flows.
pub(crate) async fn lock(client: &Client, out: Output, command: Lock) -> anyhow::Result<()> {
    match command {
        Lock::Add { target, reason } => {
            let new = http::Lock {
                id: String::new(),
                flow: target.flow,
                account: target.account,
                workload: target.workload,
                reason,
            };
            let made: http::Lock = client
                .ask(Method::POST, &["locks"], &[], Some(&new))
                .await?;
            out.text(
                &made,
                &format!("locked; weir lock remove {} lifts it\n", made.id),
            )
        }
        Lock::Remove { id } => {
            client
                .tell(Method::DELETE, &["locks", &id], &[], NOTHING)
                .await?;
            out.done(&format!("lifted {id}"))
        }
        Lock::List => {
            let locks: Vec<http::Lock> = client.get(&["locks"]).await?;
            let rows = locks.iter().map(|lock| {
                let on = [
                    ("account", &lock.account),
                    ("workload", &lock.workload),
                    ("flow", &lock.flow),
                ];
                let on: Vec<String> = on
                    .into_iter()
                    .filter_map(|(what, name)| Some(format!("{what} {}", name.as_ref()?)))
                    .collect();
                [lock.id.clone(), on.join(" "), lock.reason.clone()]
            });
            out.table(&locks, ["ID", "ON", "REASON"], rows)
        }
    }
}

/// Register data planes.
pub(crate) async fn node(client: &Client, out: Output, command: Node) -> anyhow::Result<()> {
    match command {
        Node::Add { name, serves } => {
            let new = NodeNew {
                name,
                serves: Some(serves).filter(|serves| !serves.is_empty()),
            };
            let made: NodeMade = client
                .ask(Method::POST, &["nodes"], &[], Some(&new))
                .await?;
            eprintln!("shown this once; it holds the node's secret");
            out.text(&made, &format!("{}\n", made.join))
        }
        Node::Remove { name } => {
            client
                .tell(Method::DELETE, &["nodes", &name], &[], NOTHING)
                .await?;
            out.done(&format!("removed {name}"))
        }
    }
}

/// Data planes and how they stand.
pub(crate) async fn nodes(client: &Client, out: Output) -> anyhow::Result<()> {
    let nodes: Vec<http::Node> = client.get(&["nodes"]).await?;
    let rows = nodes.iter().map(|node| {
        let seen = match (node.connected, node.last_seen) {
            (true, _) => "now".to_owned(),
            (false, Some(at)) => when(at),
            (false, None) => "never".to_owned(),
        };
        let push = match node.push {
            Push::Applied => format!("applied {}", node.applied),
            Push::Pending => format!("{}, wants {}", node.applied, node.wanted),
            Push::Rejected => format!("{}, rejected {}: {}", node.applied, node.wanted, node.error),
        };
        let canary = node
            .health
            .as_ref()
            .map_or("unknown", |health| &health.canary);
        let log = if node.log_alert {
            "ALERT".to_owned()
        } else {
            format!("{} leaves", node.leaves)
        };
        [
            node.name.clone(),
            seen,
            node.build.clone(),
            push,
            canary.to_owned(),
            log,
        ]
    });
    out.table(
        &nodes,
        ["NODE", "SEEN", "BUILD", "WORLD", "CANARY", "LOG"],
        rows,
    )
}
