//! What a tool call costs over MCP, beside the same call over HTTP.

use std::time::Instant;

use serde_json::json;

use crate::mcp::Mcp;
use crate::setting::{call, caller, daemon, repository};
use crate::table::{against, row};

const CALLS: usize = 500;

pub async fn measure() {
    let daemon = daemon(&[]).await;
    for files in [8, 4_000] {
        let repo = match files {
            8 => daemon.repo(),
            _ => repository(&daemon.root().join(format!("r{files}")), files),
        };
        let (boss, client) = (format!("tools{files}"), daemon.client());
        let caller = caller(&boss, &repo);
        let mut mcp = Mcp::start(&daemon, &boss, &repo);
        // The first calls make the boss's workspace and its spare worktrees.
        for _ in 0..20 {
            call(&client, &caller, "get_workspace_layout", json!({})).await;
            mcp.call("get_workspace_layout", &json!({}));
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let (mut http, mut health, mut stdio) = (vec![], vec![], vec![]);
        for _ in 0..CALLS {
            let begun = Instant::now();
            client.health().await.unwrap();
            health.push(begun.elapsed());
            let begun = Instant::now();
            call(&client, &caller, "get_workspace_layout", json!({})).await;
            http.push(begun.elapsed());
            let begun = Instant::now();
            mcp.call("get_workspace_layout", &json!({}));
            stdio.push(begun.elapsed());
        }
        row(&format!("GET /api/health over HTTP ({files} files)"), health);
        let floor = row(&format!("get_workspace_layout over HTTP ({files} files)"), http);
        let whole = against(&format!("get_workspace_layout over MCP stdio ({files} files)"), stdio, floor);
        crate::table::figure("  of which MCP's own share (difference of the medians)", whole - floor, "ms");
        drop(mcp);
    }
    daemon.finish().await;
}
