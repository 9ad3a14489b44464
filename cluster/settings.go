package cluster

type setting struct{ name, value string }

// settings are for one busy server on a small machine. The log is large and
// checkpoints are rare, because the stack writes in many short transactions;
// every commit still waits for the disk, since "nothing is lost" is a promise.
func settings(volatile bool) []setting {
	s := []setting{
		{"listen_addresses", "127.0.0.1"},
		{"unix_socket_directories", ""}, // a path that all may reach would be a second door
		{"max_connections", "100"},
		{"password_encryption", "scram-sha-256"},
		{"shared_buffers", "192MB"},
		{"work_mem", "8MB"},
		{"maintenance_work_mem", "64MB"},
		{"wal_level", "minimal"}, // nobody replicates from here, and bulk loads write half as much
		{"max_wal_senders", "0"},
		{"wal_compression", "on"},
		{"wal_buffers", "16MB"},
		{"max_wal_size", "2GB"},
		{"checkpoint_timeout", "15min"},
		{"synchronous_commit", "on"},
		{"random_page_cost", "1.1"}, // solid state
		{"jit", "off"},              // compiling costs more than these queries do
		{"autovacuum_naptime", "20s"},
		{"lc_messages", "C"},
		{"timezone", "UTC"},
		{"log_timezone", "UTC"},
		{"log_min_messages", "warning"},
		{"log_line_prefix", "%m [%p] %d "},
	}
	if volatile {
		s = append(s,
			setting{"fsync", "off"},
			setting{"synchronous_commit", "off"},
			setting{"full_page_writes", "off"},
			setting{"max_connections", "300"}, // many tests at once, each with a pool
			setting{"shared_buffers", "128MB"},
		)
	}
	return s
}
