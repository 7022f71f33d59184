//! A real cluster: three of Debian's ClickHouse servers (18.16) and a `ZooKeeper`, on loopback ports; all end with the value that stands for them.
//!
//! `trio` has two shards; the first has two replicas. The servers know themselves by their macros `shard` and `replica`.

#![allow(dead_code, reason = "every test binary uses another part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino_tempfile::Utf8TempDir;
use housewright::clickhouse::{Client, Query};
use housewright::config::Server;

use super::keeper::{Keeper, free_port};

/// The cluster.
pub(crate) struct Cluster {
    /// Its servers: the replicas of the first shard, then the second shard.
    pub(crate) nodes: Vec<Node>,
    /// Its `ZooKeeper`.
    pub(crate) keeper: Keeper,
    _dir: Utf8TempDir,
}

/// One server.
pub(crate) struct Node {
    process: Child,
    config: camino::Utf8PathBuf,
    /// Its HTTP port.
    pub(crate) http: u16,
    /// Its native port, by which the cluster knows it.
    pub(crate) tcp: u16,
}

impl Drop for Node {
    fn drop(&mut self) {
        // One that was stopped does not die before it goes on.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Cluster {
    /// Starts it, and waits until all answer.
    pub(crate) async fn start() -> Self {
        let keeper = Keeper::start();
        let dir = super::directory();
        let ports: Vec<(u16, u16, u16)> = (0..3)
            .map(|_| (free_port(), free_port(), free_port()))
            .collect();
        let replica = |at: usize| {
            format!(
                "<replica><host>127.0.0.1</host><port>{}</port></replica>",
                ports[at].1
            )
        };
        let servers = format!(
            "<remote_servers><trio><shard><internal_replication>true</internal_replication>{}{}</shard><shard><internal_replication>true</internal_replication>{}</shard></trio></remote_servers>",
            replica(0),
            replica(1),
            replica(2)
        );
        let mut nodes = Vec::new();
        for (at, (http, tcp, interserver)) in ports.iter().enumerate() {
            let home = dir.path().join(format!("node{at}"));
            for part in ["data", "tmp", "format"] {
                fs_err::create_dir_all(home.join(part)).unwrap();
            }
            fs_err::write(
                home.join("users.xml"),
                "<yandex><profiles><default/><looker><readonly>1</readonly></looker></profiles><users><default><password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default><looker><password></password><networks><ip>::/0</ip></networks><profile>looker</profile><quota>default</quota></looker><stranger><password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota><allow_databases><database>elsewhere</database></allow_databases></stranger></users><quotas><default/></quotas></yandex>\n",
            )
            .unwrap();
            let shard = if at < 2 { 1 } else { 2 };
            let config = home.join("config.xml");
            fs_err::write(
                &config,
                format!(
                    "<yandex><logger><level>warning</level><log>{home}/log</log><errorlog>{home}/errors</errorlog></logger>\
                     <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><interserver_http_port>{interserver}</interserver_http_port>\
                     <interserver_http_host>127.0.0.1</interserver_http_host><listen_host>127.0.0.1</listen_host>\
                     <path>{home}/data/</path><tmp_path>{home}/tmp/</tmp_path><format_schema_path>{home}/format/</format_schema_path>\
                     <users_config>{home}/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>\
                     <mark_cache_size>67108864</mark_cache_size><timezone>UTC</timezone>\
                     {}{servers}<macros><shard>{shard}</shard><replica>r{at}</replica></macros>\
                     <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl></yandex>\n",
                    keeper.config()
                ),
            )
            .unwrap();
            nodes.push(Node {
                process: launch(&config),
                config,
                http: *http,
                tcp: *tcp,
            });
        }
        let cluster = Self {
            nodes,
            keeper,
            _dir: dir,
        };
        for node in &cluster.nodes {
            node.wait().await;
        }
        cluster
    }

    /// A client on one of the servers, for the whole cluster.
    pub(crate) fn client(&self, node: usize, database: &str) -> Client {
        Client::new(&self.nodes[node].server(Some("trio")), database).unwrap()
    }
}

impl Node {
    /// How it is reached.
    pub(crate) fn server(&self, cluster: Option<&str>) -> Server {
        Server {
            name: None,
            url: format!("http://127.0.0.1:{}", self.http),
            user: "default".to_owned(),
            password: None,
            ca_file: None,
            cluster: cluster.map(str::to_owned),
        }
    }

    /// A client on this server alone.
    pub(crate) fn alone(&self, database: &str) -> Client {
        Client::new(&self.server(None), database).unwrap()
    }

    /// Kills it, as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, and waits until it answers.
    pub(crate) async fn restart(&mut self) {
        self.process = launch(&self.config);
        self.wait().await;
    }

    async fn wait(&self) {
        let client = self.alone("default");
        let begun = Instant::now();
        // It answers before it takes distributed statements.
        let ready =
            Query::new("SELECT name FROM system.zookeeper WHERE path = '/clickhouse/task_queue'");
        while client.fetch(&ready, "TSV").await.is_err() {
            assert!(
                begun.elapsed() < Duration::from_mins(2),
                "the server on port {} does not answer; see {}",
                self.http,
                self.config
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn launch(config: &camino::Utf8Path) -> Child {
    Command::new("/usr/sbin/clickhouse-server")
        .arg(format!("--config-file={config}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("clickhouse-server could not be started: {error}; `apt-get install clickhouse-server zookeeper` brings it")
        })
}
