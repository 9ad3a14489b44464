package worker_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"github.com/deviceops/deviceops/codec"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/vault"
)

const planted = "planted-d41d8cd98f"

// canaries takes a planted text on every way by which a value gets into Temporal.
type canaries struct {
	Text  string `json:"text"`
	Large string `json:"large"` // large enough to be compressed
}

func newCanaries() canaries {
	return canaries{planted, strings.Repeat("some text around "+planted, 200)}
}

func failingActivity(ctx context.Context, in canaries) (canaries, error) {
	activity.RecordHeartbeat(ctx, in)
	if activity.GetInfo(ctx).Attempt == 1 {
		return in, errors.New("the first attempt: " + in.Text)
	}
	return in, temporal.NewApplicationErrorWithOptions("it failed: "+in.Text, "failed", temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{in}, Cause: errors.New("because of " + in.Text),
	})
}

func plainActivity(_ context.Context, in canaries) (canaries, error) { return in, nil }

func plantedWorkflow(ctx workflow.Context, in canaries) (canaries, error) {
	signals := workflow.GetSignalChannel(ctx, "signal")
	if err := workflow.SetUpdateHandler(ctx, "update", func(_ workflow.Context, in canaries) (canaries, error) { return in, nil }); err != nil {
		return in, err
	}
	if err := workflow.SetQueryHandler(ctx, "query", func() (canaries, error) { return in, nil }); err != nil {
		return in, err
	}
	var out canaries
	remote := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: patience, HeartbeatTimeout: patience, Summary: planted,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond, MaximumAttempts: 2},
	})
	if err := workflow.ExecuteActivity(remote, plainActivity, in).Get(ctx, &out); err != nil {
		return in, err
	}
	local := workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: patience})
	if err := workflow.ExecuteLocalActivity(local, plainActivity, out).Get(ctx, &out); err != nil {
		return in, err
	}
	signals.Receive(ctx, &out)
	failure := workflow.ExecuteActivity(remote, failingActivity, out).Get(ctx, nil)
	var application *temporal.ApplicationError
	if !errors.As(failure, &application) || application.Message() != "it failed: "+planted {
		return in, errors.New("the failure lost its message")
	}
	return out, failure
}

// encryption is a Temporal server and a client with or without a codec.
type encryption struct {
	dir    string
	client client.Client
	end    func() // idempotent
}

func startEncryption(t *testing.T, payloads converter.PayloadCodec) *encryption {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	e := &encryption{dir: t.TempDir()}
	server, err := dev.StartTemporal(t.Context(), dev.TemporalConfig{Dir: e.dir, Log: quiet})
	require.NoError(t, err)
	e.client, err = starter.Dial(t.Context(), starter.Config{Address: server.Address(), Namespace: dev.Namespace, Codec: payloads, Log: quiet})
	require.NoError(t, err)
	w := sdkworker.New(e.client, "canaries", sdkworker.Options{})
	w.RegisterWorkflow(plantedWorkflow)
	w.RegisterActivity(plainActivity)
	w.RegisterActivity(failingActivity)
	require.NoError(t, w.Start())
	e.end = sync.OnceFunc(func() {
		w.Stop()
		e.client.Close()
		closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, server.Close(closing))
	})
	t.Cleanup(e.end)
	return e
}

// run takes the text through a workflow by start, memo, signal, update, query,
// result and failure, and gives its history.
func (e *encryption) run(t *testing.T) *historypb.History {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	in := newCanaries()
	run, err := e.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: "canaries", TaskQueue: "canaries", Memo: map[string]any{"memo": in}, StaticSummary: planted, StaticDetails: planted,
	}, plantedWorkflow, in)
	require.NoError(t, err)
	update, err := e.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: run.GetID(), UpdateName: "update", Args: []any{in}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	require.NoError(t, err)
	var out canaries
	require.NoError(t, update.Get(ctx, &out))
	require.Equal(t, in, out)
	answer, err := e.client.QueryWorkflow(ctx, run.GetID(), "", "query")
	require.NoError(t, err)
	require.NoError(t, answer.Get(&out))
	require.Equal(t, in, out)
	require.NoError(t, e.client.SignalWorkflow(ctx, run.GetID(), "", "signal", in))

	err = run.Get(ctx, nil)
	var application *temporal.ApplicationError
	require.ErrorAs(t, err, &application)
	require.Equal(t, "it failed: "+planted, application.Message())
	require.NoError(t, application.Details(&out))
	require.Equal(t, in, out)
	return e.history(t, run.GetID())
}

func (e *encryption) history(t *testing.T, id string) *historypb.History {
	t.Helper()
	h := &historypb.History{}
	for events := e.client.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		event, err := events.Next()
		require.NoError(t, err)
		h.Events = append(h.Events, event)
	}
	return h
}

// found ends the server and counts its files that hold the text.
func (e *encryption) found(t *testing.T) (files int) {
	t.Helper()
	e.end()
	require.NoError(t, filepath.WalkDir(e.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(planted)) {
			files++
		}
		return err
	}))
	return files
}

func TestEncryption_NothingReadableReachesTemporal(t *testing.T) {
	file, err := vault.OpenFile(filepath.Join(t.TempDir(), "secrets.json"))
	require.NoError(t, err)
	require.NoError(t, file.Ensure("temporal/payload-keys", codec.GenerateKeys))
	keys, err := codec.OpenKeyring(t.Context(), codec.Config{Secrets: file, Reference: "temporal/payload-keys"})
	require.NoError(t, err)

	e := startEncryption(t, codec.New(keys))
	h := e.run(t)
	raw, err := proto.Marshal(h)
	require.NoError(t, err)
	require.NotContains(t, string(raw), planted, "the history")
	require.NotContains(t, string(raw), "encrypted_test.go", "a stack trace")
	require.Zero(t, e.found(t), "the files of the server")

	data, failure := starter.Encrypted(codec.New(keys))
	replayer, err := sdkworker.NewWorkflowReplayerWithOptions(sdkworker.WorkflowReplayerOptions{DataConverter: data, FailureConverter: failure})
	require.NoError(t, err)
	replayer.RegisterWorkflow(plantedWorkflow)
	require.NoError(t, replayer.ReplayWorkflowHistory(nil, h))
}

// Without a codec the same search finds the text, so it would find it above.
func TestEncryption_TheSearchFindsWhatIsReadable(t *testing.T) {
	e := startEncryption(t, nil)
	raw, err := proto.Marshal(e.run(t))
	require.NoError(t, err)
	require.Greater(t, strings.Count(string(raw), planted), 20)
	require.NotZero(t, e.found(t))
}
