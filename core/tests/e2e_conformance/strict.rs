//! The inspector's strict reading of the list of tools: schemas that other clients would refuse are errors.

use sandboxed_testkit::cli::Cli;
use tempfile::TempDir;
use tokio::process::Command;

use crate::servers::Program;

#[tokio::test]
async fn every_schema_is_read_strictly() {
    for program in Program::ALL {
        let dir = TempDir::new().unwrap();
        let node = Cli::Node.path().unwrap();
        let done = Command::new(&node)
            .arg(Cli::Inspector.path().unwrap())
            .arg("--cli")
            .arg(program.path())
            .args(["-e", &format!("SANDBOXED_SH_DATA_DIR={}", dir.path().display())])
            .args(["--method", "tools/list", "--strict"])
            // It starts a second script by the name `node`.
            .env("PATH", format!("{}:/usr/bin:/bin", node.parent().unwrap().display()))
            .env("HOME", dir.path())
            .current_dir(dir.path())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.contains("\"tools\""), "{}: {said}{told}", program.name());
    }
}
