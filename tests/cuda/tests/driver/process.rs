//! Runs a test's program in a process of its own: the loader looks for a driver where `LD_LIBRARY_PATH` said
//! when the process began.

use std::process::Command;

/// Set in the process that is the program.
const CHILD: &str = "LODE_CUDA_TEST_CHILD";

/// How a program ends that came to its end, unlike one that was not found.
const FINISHED: i32 = 77;

/// A test of this file, to be run again as a program with an environment.
pub(crate) struct Program {
    test: &'static str,
    environment: Vec<(&'static str, String)>,
}

impl Program {
    pub(crate) fn new(test: &'static str) -> Self {
        Self { test, environment: Vec::new() }
    }

    pub(crate) fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.environment.push((variable, value.to_owned()));
        self
    }

    /// Runs it, and expects that it makes no programming error.
    pub(crate) fn run(self, program: impl FnOnce()) {
        let log = self.run_expecting_errors(program);
        assert_eq!(log, "", "programming errors");
    }

    /// Runs it, and gives the programming errors that the driver noted.
    pub(crate) fn run_expecting_errors(self, program: impl FnOnce()) -> String {
        if std::env::var_os(CHILD).is_some() {
            program();
            // What comes after is for the process that started this one.
            std::process::exit(FINISHED);
        }
        let directory = tempfile::tempdir().expect("a directory for the log");
        let log = directory.path().join("log");
        let output = Command::new(std::env::current_exe().expect("a test knows its own path"))
            .args([self.test, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .env("LD_LIBRARY_PATH", lode_cuda_standin::library_dir())
            .env("LODE_CUDA_LOG", &log)
            .envs(self.environment)
            .output()
            .expect("a test starts itself");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(FINISHED), "the program failed: {}\n{text}", output.status);
        std::fs::read_to_string(&log).unwrap_or_default()
    }
}
