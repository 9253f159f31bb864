//! A real client with one server of ours.

use std::io::Write;
use std::path::{Path, PathBuf};

use sandboxed_testkit::stub::{Script, Step, StubModel};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

pub use crate::outside::Client;
use crate::outside::run;

/// A session that has ended.
pub struct Session {
    dir: TempDir,
    stub: StubModel,
    client: Client,
}

/// One of our programs, as it goes into sandboxes.
pub fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_sandboxed-sh")).with_file_name("inside").join(name)
}

impl Client {
    /// Runs `steps` in a working directory that `prepare` filled, with `program` as the server `name`.
    pub async fn session(
        self,
        name: &str,
        program: &Path,
        prepare: impl FnOnce(&Path),
        steps: impl IntoIterator<Item = Step>,
    ) -> Session {
        let dir = TempDir::new().unwrap();
        let work = dir.path().join("work");
        std::fs::create_dir(&work).unwrap();
        prepare(&work);
        let stub = StubModel::start(Script::default().scenario("s", steps)).await.unwrap();
        let mut command = match self {
            Self::Claude => claude(&stub, dir.path(), name, program),
            Self::Codex => codex(&stub, dir.path(), name, program),
        };
        command.current_dir(work);
        let ended = run(command).await;
        let printed = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
        let session = Session { dir, stub, client: self };
        assert!(ended.status.success(), "{self:?}: {printed}\n{:#?}", session.results());
        session
    }
}

impl Session {
    /// A path of the working directory.
    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("work").join(below)
    }

    /// Content of a file there.
    pub fn file(&self, below: &str) -> String {
        std::fs::read_to_string(self.path(below)).unwrap()
    }

    /// What the tools answered as the model was shown it, in order.
    pub fn results(&self) -> Vec<Value> {
        self.client.results(&self.stub, "s")
    }

    /// The same as text, with line ends as they are.
    pub fn texts(&self) -> Vec<String> {
        self.results()
            .iter()
            .map(|result| result.to_string().replace("\\n", "\n").replace("\\\"", "\""))
            .collect()
    }
}

const PROMPT: &str = "[[s]] use the tools";

fn claude(stub: &StubModel, home: &Path, name: &str, program: &Path) -> Command {
    let settings = home.join("mcp.json");
    let servers = json!({"mcpServers": {name: {"type": "stdio", "command": program, "args": []}}});
    std::fs::write(&settings, servers.to_string()).unwrap();
    let (settings, allowed) = (settings.display().to_string(), format!("mcp__{name}"));
    let arguments = ["--strict-mcp-config", "--mcp-config", &settings, "--allowedTools", &allowed];
    Client::Claude.command(home, stub, &arguments, PROMPT)
}

fn codex(stub: &StubModel, home: &Path, name: &str, program: &Path) -> Command {
    let command = Client::Codex.command(home, stub, &["--skip-git-repo-check"], PROMPT);
    let settings = std::fs::File::options().append(true).open(home.join(".codex/config.toml"));
    let server = format!(
        "[mcp_servers.{name}]\ncommand = \"{}\"\ndefault_tools_approval_mode = \"approve\"\n",
        program.display()
    );
    settings.unwrap().write_all(server.as_bytes()).unwrap();
    command
}
