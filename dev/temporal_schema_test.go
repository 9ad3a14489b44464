package dev

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/server/common/log/tag"

	"github.com/deviceops/deviceops/workflows"
)

// Each index over the list of workflows costs every workflow; a new version of
// Temporal may bring more of them, or call those that are used otherwise.
func TestTemporalSchema_HasTheIndexesThatAreUsed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), temporalFile)
	require.NoError(t, createTemporalSchema(file))
	db, err := sql.Open(sqlitePlugin, file)
	require.NoError(t, err)
	defer db.Close()
	indexes, err := listIndexes(db)
	require.NoError(t, err)
	require.ElementsMatch(t, usefulIndexes(), indexes)
	for _, column := range []string{"Keyword01", "Keyword02", "Keyword03", "Keyword04"} {
		var plan [4]any
		row := db.QueryRow(`explain query plan select * from executions_visibility where namespace_id = 'n' and ` + column + ` = 'x'`)
		require.NoError(t, row.Scan(&plan[0], &plan[1], &plan[2], &plan[3]))
		require.Contains(t, plan[3], "INDEX by_keyword")
	}
}

func TestTemporalSchema_KnowsTheSearchAttributes(t *testing.T) {
	server := startTemporal(t, t.TempDir())
	t.Cleanup(func() { server.Close(context.Background()) })
	known, err := dial(t, server.Address()).OperatorService().ListSearchAttributes(t.Context(),
		&operatorservice.ListSearchAttributesRequest{Namespace: Namespace})
	require.NoError(t, err)
	want := map[string]any{}
	for _, a := range workflows.Attributes() {
		want[a.GetName()] = a.GetValueType()
	}
	require.Len(t, known.GetCustomAttributes(), len(want))
	for name, kind := range known.GetCustomAttributes() {
		require.Equal(t, want[name], kind, name)
	}
}

var shardTag, queueTag = tag.NewInt("shard", 1), tag.NewInt("queue", 2)

// lines are what was written, by write.
type lines []string

func (l *lines) Write(p []byte) (int, error) {
	*l = append(*l, string(p))
	return len(p), nil
}

// What the server writes carries the tags of the logger that it wrote with.
func TestServerLog_KeepsTags(t *testing.T) {
	t.Parallel()
	var out lines
	l := serverLog{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	with := l.With(shardTag).(serverLog)
	with.With(queueTag).Info("nobody wants to see this")
	with.With(queueTag).Warn("slow")
	l.Warn("plain")
	require.Len(t, out, 2)
	require.Contains(t, out[0], "msg=slow "+shardTag.Key()+"=1 "+queueTag.Key()+"=2")
	require.NotContains(t, out[1], shardTag.Key())
}
