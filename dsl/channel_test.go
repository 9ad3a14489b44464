package dsl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// channelExamples gives the connectors that the product ships, by name.
func channelExamples(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../examples/channels/*.yaml")
	require.NoError(t, err)
	require.Len(t, paths, 8)
	texts := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		texts[strings.TrimSuffix(filepath.Base(path), ".yaml")] = string(data)
	}
	return texts
}

func TestChannelExamplesCompile(t *testing.T) {
	t.Parallel()
	s := compiledSchema(t)
	for name, text := range channelExamples(t) {
		require.True(t, strings.HasPrefix(text, "# yaml-language-server: $schema=../deviceops.schema.json\n"), name)
		docs, found := CheckFile(name+".yaml", text, checked)
		require.Empty(t, found, name)
		require.Len(t, docs, 1)
		require.NotNil(t, docs[0].Channel, name)
		require.Equal(t, name, docs[0].Channel.Name)
		require.Empty(t, schemaErrors(t, s, text), name)
	}
}

func compileChannel(t *testing.T, source string) *Channel {
	t.Helper()
	ch, found := CompileChannel(source)
	require.NoError(t, found.Err())
	return ch
}

const deskSource = `channel: desk
url: https://desk.example.com/base/
auth: { oauth2: { token_url: "https://login.example.com/token", client_id: ops, client_secret: "secret:desk#client", scope: tickets } }
timeout: 3s
limit: 2 per 1m
ticket:
  open:
    request:
      path: /tickets/${{ ticket.account }}/new
      query: { about: [a, "${{ ticket.severity }}"], none: ~ }
      headers: { X-Run: "${{ run.id }}" }
      json: { title: "${{ ticket.title }}", count: "${{ ticket.count }}", device: "${{ device.labels.site }}" }
    expect: response.status == 201
    answer: { id: response.json.id, status: response.json.state, url: response.headers.location }
  statuses: { Done: closed, "New": open }
webhook:
  verify: { hmac: { header: X-Sig, secret: secret:desk/hook, algorithm: sha512, encoding: base64, timestamp: X-Time, max_age: 5m } }
  if: request.json.kind == "ticket"
  ticket: request.json.id
  status: request.json.state
  comment: request.json.text
actions:
  order:
    args: { part: string, count: { type: integer, default: 1 } }
    request: { method: PUT, path: "/orders/${{ args.part }}", form: { n: "${{ args.count }}" } }
    answer: { order: response.json.number, who: 'run.workflow + "/" + run.step' }
`

var deskCall = deviceops.ChannelCall{
	Ticket: deviceops.Ticket{ID: "t1", Account: "acme/emea", Title: "Dark", Severity: "error", Count: 3},
	Device: deviceops.Device{ID: "k1", Labels: map[string]string{"site": "HAM"}},
	Run:    deviceops.ChannelRun{ID: "r1", Workflow: "w", Step: "s"},
}

func TestChannelRequests(t *testing.T) {
	t.Parallel()
	ch := compileChannel(t, deskSource)
	require.Equal(t, &ChannelAuth{
		Kind: AuthOAuth2, Secret: "secret:desk#client", Username: "ops", TokenURL: "https://login.example.com/token", Scope: "tickets",
	}, ch.Auth)
	require.Equal(t, "https://desk.example.com/base", ch.URL)
	require.Equal(t, 3*time.Second, ch.Timeout)
	require.Equal(t, deviceops.ChannelInfo{
		Name: "desk", Transport: "http", Operations: []string{"actions.order", "ticket.open"}, Webhook: true,
		Limit: deviceops.Limit{N: 2, Per: time.Minute},
	}, ch.Info())

	r, err := ch.Operations[deviceops.ChannelOpen].Request(deskCall)
	require.NoError(t, err)
	require.Equal(t, ChannelRequest{
		Method: "POST", Path: "/tickets/acme%2Femea/new", Query: map[string][]string{"about": {"a", "error"}},
		Headers: map[string]string{"X-Run": "r1"}, JSON: map[string]any{"title": "Dark", "count": int64(3), "device": "HAM"},
	}, r, "a value in a path stays one segment")

	order := ch.Operations[deviceops.ChannelAction("order")]
	args, err := order.Prepare(map[string]any{"part": "panel 7"})
	require.NoError(t, err)
	r, err = order.Request(deviceops.ChannelCall{Args: args})
	require.NoError(t, err)
	require.Equal(t, "/orders/panel%207", r.Path)
	require.Equal(t, "n=1", r.Form.Encode())
	_, err = order.Prepare(map[string]any{"part": 7})
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))

	for _, part := range []string{"", ".", ".."} {
		_, err = order.Request(deviceops.ChannelCall{Args: map[string]any{"part": part, "count": 1}})
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), "no value may climb out of its place: %q", part)
	}
}

func TestChannelAnswers(t *testing.T) {
	t.Parallel()
	ch := compileChannel(t, deskSource)
	open := ch.Operations[deviceops.ChannelOpen]
	response := ChannelResponse{Status: 201, Headers: map[string]string{"location": "https://x/1"}, JSON: map[string]any{"id": int64(7), "state": "DONE"}}
	good, err := open.Expects(deskCall, response)
	require.NoError(t, err)
	require.True(t, good)
	answer, err := open.Answer(deskCall, response)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"id": int64(7), "status": "DONE", "url": "https://x/1"}, answer)

	good, err = open.Expects(deskCall, ChannelResponse{Status: 200})
	require.NoError(t, err)
	require.False(t, good)
	_, err = open.Answer(deskCall, ChannelResponse{Status: 201, Body: "welcome"})
	require.Equal(t, deviceops.EFAILED, deviceops.ErrorCode(err), "%v", err)

	order := ch.Operations[deviceops.ChannelAction("order")]
	good, err = order.Expects(deskCall, ChannelResponse{Status: 204})
	require.NoError(t, err)
	require.True(t, good)

	for word, want := range map[string]deviceops.TicketStatus{"": "", "Done": "closed", "done": "closed", "new": "open", "strange": "open", "Closed": "closed"} {
		require.Equal(t, want, ch.State(word), word)
	}
}

func TestChannelWebhookReads(t *testing.T) {
	t.Parallel()
	w := compileChannel(t, deskSource).Webhook
	require.Equal(t, deviceops.MessageProof{
		Header: "X-Sig", Secrets: []string{"secret:desk/hook"}, Algorithm: "sha512", Encoding: "base64", Timestamp: "X-Time", MaxAge: 5 * time.Minute,
	}, w.Verify)
	said, err := w.Read(nil, map[string]any{"kind": "ticket", "id": int64(7), "state": "done"}, "")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"ticket": "7", "status": "done", "comment": ""}, said)
	said, err = w.Read(nil, map[string]any{"kind": "ping"}, "")
	require.NoError(t, err)
	require.Nil(t, said)
	_, err = w.Read(nil, nil, "text")
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

func TestCatalogGivesChannels(t *testing.T) {
	t.Parallel()
	documents := oneDocument{document: deviceops.Document{Account: "acme", Kind: deviceops.KindChannel, Name: "desk", Version: 4, Hash: "h", Source: deskSource}}
	catalog := &Catalog{Documents: documents}
	ch, err := catalog.Channel(t.Context(), "acme/emea", "desk")
	require.NoError(t, err)
	require.Equal(t, "acme", ch.Account)
	require.Equal(t, 4, ch.Version)
	_, err = catalog.Channel(t.Context(), "acme/emea", "other")
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
}

func TestChannelsPageCompiles(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/channels.md")
	require.NoError(t, err)
	shown := 0
	for _, m := range yamlBlock.FindAllStringSubmatch(string(page), -1) {
		if strings.HasPrefix(m[1], "channel:") {
			_, found := CheckFile("channels.md", m[1], checked)
			require.Empty(t, found)
			shown++
			continue
		}
		_, found := CheckFile("channels.md", "workflow: w\ndevice: k1\nsteps:\n"+strings.ReplaceAll("\n"+m[1], "\n", "\n  "), checked)
		require.NoError(t, found.Err())
	}
	require.Equal(t, 1, shown)
}
