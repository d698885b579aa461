//! The table of every key: its section, default, environment variable and meaning.

/// One section of the config file.
#[derive(Debug)]
pub struct Section {
    /// Its name in the file.
    pub name: &'static str,
    /// What it is about.
    pub doc: &'static str,
    /// Its keys, in the order of the example file.
    pub keys: &'static [Key],
}

/// One key of a section.
#[derive(Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// Its default as a TOML literal, which also fixes its type.
    pub default: &'static str,
    /// Environment variable that overrides it. Lists are comma-separated.
    pub env: &'static str,
    /// What it means, one line of the example file each.
    pub doc: &'static [&'static str],
}

/// Every section, in the order of the example file.
pub const SECTIONS: &[Section] = &[
    Section { name: "node", doc: "Who this node is and where it keeps its data.", keys: NODE },
    Section { name: "network", doc: "The peer-to-peer host.", keys: NETWORK },
    Section {
        name: "rpc",
        doc: "The JSON-RPC server: Ethereum and cess_ methods on one port, over HTTP and WebSocket.",
        keys: RPC,
    },
    Section { name: "gateway", doc: "The HTTP gateway, for nodes with role gateway.", keys: GATEWAY },
    Section { name: "storage", doc: "The space this node lends, for nodes with role storage.", keys: STORAGE },
    Section { name: "tee", doc: "Tagging and verifying, for nodes with role tee.", keys: TEE },
    Section { name: "chain", doc: "The chain this node follows.", keys: CHAIN },
    Section {
        name: "pool",
        doc: "The transactions that wait for a block. When it is full, those that bid least make way for those that bid more.",
        keys: POOL,
    },
];

const NODE: &[Key] = &[
    Key {
        name: "name",
        default: r#""node""#,
        env: "CESS_NODE_NAME",
        doc: &["Name in logs, metrics and listings: 1 to 64 letters, digits, dots, dashes or underscores."],
    },
    Key {
        name: "dir",
        default: r#"".""#,
        env: "CESS_NODE_DIR",
        doc: &["Directory of keys and data. A relative one starts at the folder of this file."],
    },
    Key {
        name: "roles",
        default: r#"["storage"]"#,
        env: "CESS_NODE_ROLES",
        doc: &["What the node does, one or more of: consensus, storage, tee, gateway."],
    },
    Key {
        name: "log",
        default: r#""warn,cess=info,s3s=off""#,
        env: "CESS_LOG",
        doc: &["Which log lines are written: a level, or levels by module such as warn,cess=info,cess::chain=debug."],
    },
    Key {
        name: "log_json",
        default: "false",
        env: "CESS_NODE_LOG_JSON",
        doc: &["Write logs as one JSON object a line."],
    },
    Key {
        name: "cache",
        default: r#""64 MiB""#,
        env: "CESS_NODE_CACHE",
        doc: &["Memory for the database's cache, at least 1 MiB."],
    },
];

const NETWORK: &[Key] = &[
    Key {
        name: "listen",
        default: r#"["/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"]"#,
        env: "CESS_NETWORK_LISTEN",
        doc: &["Addresses the host listens on. Port 0 takes a free one."],
    },
    Key {
        name: "external",
        default: "[]",
        env: "CESS_NETWORK_EXTERNAL",
        doc: &["Further addresses others reach this host at, behind a port forwarding for instance."],
    },
    Key {
        name: "bootstrap",
        default: "[]",
        env: "CESS_NETWORK_BOOTSTRAP",
        doc: &["Peers to join the network through and stay connected to; each address ends in /p2p/<peer id>."],
    },
    Key {
        name: "max_connections",
        default: "512",
        env: "CESS_NETWORK_MAX_CONNECTIONS",
        doc: &["Most connections to peers, 8 to 65536."],
    },
];

const RPC: &[Key] = &[
    Key {
        name: "listen",
        default: r#""127.0.0.1:8545""#,
        env: "CESS_RPC_LISTEN",
        doc: &["Address and port of the server; an empty text switches it off."],
    },
    Key {
        name: "max_connections",
        default: "512",
        env: "CESS_RPC_MAX_CONNECTIONS",
        doc: &["Most connections at a time, 1 to 65536. A further one is refused with status 429."],
    },
    Key {
        name: "max_batch",
        default: "100",
        env: "CESS_RPC_MAX_BATCH",
        doc: &["Most calls in one batch, 1 to 10000."],
    },
];

const GATEWAY: &[Key] = &[
    Key {
        name: "listen",
        default: r#""127.0.0.1:8580""#,
        env: "CESS_GATEWAY_LISTEN",
        doc: &["Address and port files are taken in and given back at."],
    },
    Key {
        name: "s3_listen",
        default: r#""127.0.0.1:8581""#,
        env: "CESS_GATEWAY_S3_LISTEN",
        doc: &["Address and port of S3; an empty text switches it off."],
    },
    Key {
        name: "s3_domain",
        default: r#""localhost""#,
        env: "CESS_GATEWAY_S3_DOMAIN",
        doc: &[
            "Domain whose subdomains are buckets, such as photos.localhost; their websites are at photos.s3-website.localhost.",
            "Buckets are in the path of any other host. An empty text leaves them in the path always.",
        ],
    },
    Key {
        name: "s3_region",
        default: r#""us-east-1""#,
        env: "CESS_GATEWAY_S3_REGION",
        doc: &["Region buckets are said to be in. Clients may sign for any."],
    },
    Key {
        name: "s3_max_connections",
        default: "1024",
        env: "CESS_GATEWAY_S3_MAX_CONNECTIONS",
        doc: &["Most connections to S3 at a time, 1 to 65536. Further ones wait."],
    },
    Key {
        name: "s3_max_requests",
        default: "256",
        env: "CESS_GATEWAY_S3_MAX_REQUESTS",
        doc: &[
            "Most requests to S3 at a time, 1 to 65536. Further ones wait two seconds, then they are asked to slow down.",
        ],
    },
    Key {
        name: "s3_max_rate",
        default: "0",
        env: "CESS_GATEWAY_S3_MAX_RATE",
        doc: &["Most requests to S3 a second, up to 1000000; 0 is no limit. Further ones are asked to slow down."],
    },
    Key {
        name: "s3_memory",
        default: r#""512 MiB""#,
        env: "CESS_GATEWAY_S3_MEMORY",
        doc: &[
            "Memory of all uploads under way, over S3 and HTTP: half for what clients send, half for segments and their parity on their way",
            "to miners; 256MiB or more. Uploads for which there is none wait, over S3 for half a minute.",
        ],
    },
    Key {
        name: "read_cache",
        default: r#""512 MiB""#,
        env: "CESS_GATEWAY_READ_CACHE",
        doc: &[
            "Memory for what was read lately, as it is stored: who reads it next does not wait for miners. 0 B, or less than a segment",
            "takes, is none.",
        ],
    },
    Key {
        name: "group_key",
        default: r#""""#,
        env: "CESS_GATEWAY_GROUP_KEY",
        doc: &[
            "File with the secret of the gateways that serve the same buckets, 64 hexadecimal digits. A relative path starts at the",
            "node's directory; empty for a gateway of its own, whose secret then follows from its keys.",
        ],
    },
    Key {
        name: "group_members",
        default: "[]",
        env: "CESS_GATEWAY_GROUP_MEMBERS",
        doc: &[
            "Accounts of the other gateways of the group: who makes an access key here lets all of them act for it.",
        ],
    },
];

const STORAGE: &[Key] = &[
    Key {
        name: "space",
        default: r#""10 GiB""#,
        env: "CESS_STORAGE_SPACE",
        doc: &["Space lent to the network, such as 50GiB; at least 1 MiB."],
    },
    Key {
        name: "idle",
        default: r#""auto""#,
        env: "CESS_STORAGE_IDLE",
        doc: &[
            "Space that is filled with certified idle space, which is paid a little and makes room for data as it comes: a size such as",
            "20GiB, or auto for all that is lent. 0 B makes none. A GiB takes minutes of one core and 2 GiB of memory while it is made.",
        ],
    },
    Key {
        name: "tranquility",
        default: "2",
        env: "CESS_STORAGE_TRANQUILITY",
        doc: &[
            "How quiet background jobs such as scrubbing are: they rest this many times as long as they worked.",
            "0 is as fast as possible, 100 is the most.",
        ],
    },
];

const TEE: &[Key] = &[
    Key {
        name: "kind",
        default: r#""full""#,
        env: "CESS_TEE_KIND",
        doc: &[
            "What the worker does, one of: full, verifier, marker. A verifier verifies audits, a marker tags data, full does both.",
        ],
    },
    Key {
        name: "collateral",
        default: r#""""#,
        env: "CESS_TEE_COLLATERAL",
        doc: &[
            "File with the DCAP collateral of this machine's enclaves, which is published on the chain before each attestation. A",
            "relative path starts at the node's directory; empty without hardware.",
        ],
    },
];

const CHAIN: &[Key] = &[
    Key {
        name: "mode",
        default: r#""remote""#,
        env: "CESS_CHAIN_MODE",
        doc: &[
            "How a node without role consensus, which executes the chain itself, knows it: remote believes the chain nodes it is",
            "connected to, light verifies what they answer by certificates and proofs from the genesis file on.",
        ],
    },
    Key {
        name: "genesis",
        default: r#""genesis.json""#,
        env: "CESS_CHAIN_GENESIS",
        doc: &["The genesis file. A relative path starts at the node's directory."],
    },
    Key {
        name: "trusted_block",
        default: r#""""#,
        env: "CESS_CHAIN_TRUSTED_BLOCK",
        doc: &[
            "Block a light node insists on, as HEIGHT:ID with an id from a source you trust, such as `cess light HEIGHT` on a machine",
            "that was never away. Needed after being off for longer than the unbonding time; empty trusts genesis and checkpoint.",
        ],
    },
    Key {
        name: "block_interval_ms",
        default: "0",
        env: "CESS_CHAIN_BLOCK_INTERVAL_MS",
        doc: &[
            "Shortest time between blocks while transactions wait, at most 60000 ms. A nearly full block is followed at once.",
            "0 takes the number of the chain's profile, which every validator should have.",
        ],
    },
    Key {
        name: "idle_block_interval_ms",
        default: "0",
        env: "CESS_CHAIN_IDLE_BLOCK_INTERVAL_MS",
        doc: &[
            "Time between blocks while nothing waits, at most 600000 ms. 0 takes the number of the chain's profile.",
        ],
    },
    Key {
        name: "sync",
        default: r#""auto""#,
        env: "CESS_CHAIN_SYNC",
        doc: &[
            "How a node without a chain joins one, one of: auto, blocks, state.",
            "blocks executes every block since genesis; state takes over the state of a recent block, proven by certificates from",
            "genesis on, and keeps no blocks before it. auto does that if the network is over 1000 blocks ahead and offers one.",
        ],
    },
    Key {
        name: "history",
        default: r#""pruned""#,
        env: "CESS_CHAIN_HISTORY",
        doc: &[
            "Whose states a chain node keeps readable, one of: pruned, archive. pruned keeps those of the newest 64 blocks, archive that",
            "of every block it executes from then on: balances, calls, proofs and traces of any height, for about 100 B of disk for",
            "every account or slot a block changes.",
        ],
    },
    Key {
        name: "checkpoint_blocks",
        default: "1000",
        env: "CESS_CHAIN_CHECKPOINT_BLOCKS",
        doc: &[
            "Blocks between two checkpoints of the state, from which a chain node starts faster, at most 1000000. They take about",
            "130 B of disk an account and are written in the background. 0 writes none.",
        ],
    },
    Key {
        name: "executor",
        default: r#""auto""#,
        env: "CESS_CHAIN_EXECUTOR",
        doc: &[
            "How blocks are run, one of: auto, serial, block-stm. serial runs one transaction after the other, block-stm several at a",
            "time, with the same outcome. auto takes block-stm on 4 cores and more, for blocks that have enough transactions.",
        ],
    },
];

const POOL: &[Key] = &[
    Key {
        name: "max_txs",
        default: "65536",
        env: "CESS_POOL_MAX_TXS",
        doc: &["Most transactions that wait, 16 to 1000000."],
    },
    Key {
        name: "max_bytes",
        default: r#""128 MiB""#,
        env: "CESS_POOL_MAX_BYTES",
        doc: &["Most bytes of them, at least 2 MiB, which is the largest transaction."],
    },
    Key {
        name: "sender_max_txs",
        default: "1024",
        env: "CESS_POOL_SENDER_MAX_TXS",
        doc: &[
            "Most transactions of one sender, at most as many as of all; also how far a nonce may lie ahead of the sender's next.",
        ],
    },
    Key {
        name: "sender_max_bytes",
        default: r#""32 MiB""#,
        env: "CESS_POOL_SENDER_MAX_BYTES",
        doc: &["Most bytes of one sender's transactions, at least 2 MiB and at most as many as of all."],
    },
];
