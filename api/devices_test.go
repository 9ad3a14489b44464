package api_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

type devicePage struct {
	Items []deviceops.Device
	Next  string
}

func TestListDevicesPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 5 {
		r.device(fmt.Sprintf("k%d", i), "acme", deviceops.Active)
	}
	var ids []string
	path := "/v1/devices?limit=2&state=active&search=k"
	for next := ""; ; {
		var p devicePage
		r.as(victor, http.MethodGet, path+next, nil).into(&p)
		for _, d := range p.Items {
			ids = append(ids, d.ID)
		}
		if p.Next == "" {
			break
		}
		next = "&cursor=" + p.Next
	}
	require.Equal(t, []string{"k0", "k1", "k2", "k3", "k4"}, ids)
}

func TestRegisterDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML)
	q := deviceops.RegisterRequest{ID: "k1", Profile: "kiosk", Claim: "s3cret", Tags: []string{"b", "a"}, Attributes: map[string]any{"ram_mb": 4096}}

	var report deviceops.RegisterReport
	r.as(olga, http.MethodPost, "/v1/devices", q, "X-Reason", "delivery 1").into(&report)
	require.Equal(t, deviceops.Registered, report.Outcome)
	require.Equal(t, "acme", report.Device.Account)
	require.Equal(t, deviceops.Escrow, report.Device.State)
	require.Equal(t, []string{"a", "b"}, report.Device.Tags)
	entry := r.audited("device:k1")
	require.Equal(t, "device.register", entry.Action)
	require.Equal(t, "user:olga", entry.Actor)
	require.Equal(t, "delivery 1", entry.Reason)

	r.as(olga, http.MethodPost, "/v1/devices", q).into(&report)
	require.Equal(t, deviceops.Unchanged, report.Outcome)
	q.Tags = []string{"c"}
	r.as(olga, http.MethodPost, "/v1/devices", q).into(&report)
	require.Equal(t, deviceops.Updated, report.Outcome)

	detail := r.as(stranger, http.MethodPost, "/v1/devices", q).refused(409, deviceops.ECONFLICT)
	require.NotContains(t, detail, "acme", "a conflict names nobody")
	require.Contains(t, detail, "taken")

	for name, bad := range map[string]deviceops.RegisterRequest{
		"attribute": {ID: "k2", Profile: "kiosk", Attributes: map[string]any{"ram": 1}},
		"type":      {ID: "k2", Profile: "kiosk", Attributes: map[string]any{"ram_mb": "many"}},
		"zone":      {ID: "k2", Profile: "kiosk", Zone: "Mars/Base"},
		"word":      {ID: "stats", Profile: "kiosk"},
	} {
		t.Run(name, func(t *testing.T) {
			r.as(olga, http.MethodPost, "/v1/devices", bad).refused(422, deviceops.EINVALID)
		})
	}
	r.as(olga, http.MethodPost, "/v1/devices", deviceops.RegisterRequest{ID: "k2", Profile: "kiosk", Account: "globex"}).refused(404, deviceops.ENOTFOUND)
}

func TestTagDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device("k1", "acme", deviceops.Active)
	var d deviceops.Device
	r.as(olga, http.MethodPost, "/v1/devices/k1/tags", deviceops.TagRequest{Add: []string{"b", "a"}, Reason: "sorted"}).into(&d)
	require.Equal(t, []string{"a", "b"}, d.Tags)
	r.as(olga, http.MethodPost, "/v1/devices/k1/tags", deviceops.TagRequest{Remove: []string{"a"}}).into(&d)
	require.Equal(t, []string{"b"}, d.Tags)
	require.Equal(t, "device.tag", r.audited("device:k1").Action)
	r.as(olga, http.MethodPost, "/v1/devices/k1/tags", deviceops.TagRequest{}).refused(422, deviceops.EINVALID)
}

func TestTransitionIntoProvisioningAdmits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device("k1", "acme", deviceops.Quarantined)
	var d deviceops.Device
	r.as(olga, http.MethodPost, "/v1/devices/k1/transition", deviceops.TransitionRequest{To: deviceops.Provisioning, Reason: "seen on site"}).into(&d)
	require.Equal(t, deviceops.Provisioning, d.State)
	require.Equal(t, []deviceops.Start{workflows.ProvisionStart(workflows.ProvisionInput{Device: "k1", AdmittedBy: "user:olga"})}, r.orchestrator.starts)
	pending, err := r.store.PendingStarts(t.Context(), now.Add(time.Hour), now.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Empty(t, pending, "what was started leaves the outbox")
	require.Equal(t, "seen on site", r.audited("device:k1").Reason)
}

func TestAdmissionWaitsForTheOrchestrator(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device("k1", "acme", deviceops.Escrow)
	r.orchestrator.down = true
	var d deviceops.Device
	r.as(olga, http.MethodPost, "/v1/devices/k1/transition", deviceops.TransitionRequest{To: deviceops.Provisioning}).into(&d)
	pending, err := r.store.PendingStarts(t.Context(), now.Add(time.Hour), now.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Len(t, pending, 1)
	require.Equal(t, workflows.ProvisionID("k1"), pending[0].WorkflowID)
}

func TestQuarantineWithdrawsCommands(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device("k1", "acme", deviceops.Active)
	var c deviceops.Command
	r.as(olga, http.MethodPost, "/v1/devices/k1/commands", deviceops.CommandRequest{Name: "reboot"}).into(&c)
	require.Equal(t, deviceops.CommandSent, c.Status)

	var d deviceops.Device
	r.as(olga, http.MethodPost, "/v1/devices/k1/transition", deviceops.TransitionRequest{To: deviceops.Quarantined}).into(&d)
	require.Equal(t, []string{c.ID}, r.gateway.cancels)
	r.as(olga, http.MethodGet, "/v1/commands/"+c.ID, nil).into(&c)
	require.Equal(t, deviceops.CommandCanceled, c.Status)

	r.as(olga, http.MethodPost, "/v1/devices/k1/transition", deviceops.TransitionRequest{To: deviceops.Active}).refused(409, deviceops.ECONFLICT)
	r.as(olga, http.MethodPost, "/v1/devices/k1/commands", deviceops.CommandRequest{Name: "reboot"}).refused(409, deviceops.ECONFLICT)
	r.as(olga, http.MethodPost, "/v1/devices/k1/transition", deviceops.TransitionRequest{To: "lost"}).refused(422, deviceops.EINVALID)
}

func TestSendCommand(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML)
	r.device("k1", "acme", deviceops.Active)
	q := deviceops.CommandRequest{Name: "diagnostics", TimeoutS: 30, Reason: "check"}

	var first, again, other deviceops.Command
	r.as(olga, http.MethodPost, "/v1/devices/k1/commands", q, "Idempotency-Key", "a").into(&first)
	require.Equal(t, deviceops.CommandSent, first.Status)
	require.Equal(t, now.Add(30*time.Second), first.ExpiresAt.UTC())
	require.Equal(t, "user:olga", first.By)
	r.as(olga, http.MethodPost, "/v1/devices/k1/commands", q, "Idempotency-Key", "a").into(&again)
	require.Equal(t, first.ID, again.ID)
	require.Len(t, r.gateway.commands, 1, "the same key sends once")
	r.as(olga, http.MethodPost, "/v1/devices/k1/commands", q, "Idempotency-Key", "b").into(&other)
	require.NotEqual(t, first.ID, other.ID)

	var list struct{ Items []deviceops.Command }
	r.as(victor, http.MethodGet, "/v1/devices/k1/commands", nil).into(&list)
	require.Len(t, list.Items, 2)
	require.Equal(t, "command.create", r.audited("device:k1").Action)
	detail := r.as(olga, http.MethodPost, "/v1/devices/k1/commands", deviceops.CommandRequest{Name: "dance"}).refused(404, deviceops.ENOTFOUND)
	require.Contains(t, detail, "diagnostics")
}

func TestSendCommandWaitsForTheAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML)
	r.device("k1", "acme", deviceops.Active)
	go func() { // the device
		for {
			open, err := r.store.OpenCommands(t.Context(), []string{"k1"})
			if err != nil {
				return
			}
			for _, c := range open["k1"] {
				c.Answer(deviceops.Answer{Attempt: 1, Status: "succeeded", Output: map[string]any{"uptime_s": 5}}, now)
				_ = r.store.SaveCommands(t.Context(), []deviceops.Command{c})
				return
			}
		}
	}()
	var c deviceops.Command
	r.as(olga, http.MethodPost, "/v1/devices/k1/commands?wait=20", deviceops.CommandRequest{Name: "diagnostics"}).into(&c)
	require.Equal(t, deviceops.CommandSucceeded, c.Status)
	require.Equal(t, map[string]any{"uptime_s": 5.0}, c.Output)
}

func TestStatsAndExplain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device("k1", "acme", deviceops.Active)
	r.device("k2", "acme/emea", deviceops.Escrow)
	r.device("g1", "globex", deviceops.Active)
	var stats deviceops.FleetStats
	r.as(victor, http.MethodGet, "/v1/devices/stats", nil).into(&stats)
	require.Equal(t, deviceops.FleetStats{
		Total: 2, ByState: map[deviceops.State]int{deviceops.Active: 1, deviceops.Escrow: 1},
		ByConnectivity: map[deviceops.Connectivity]int{deviceops.Online: 1, deviceops.Never: 1},
	}, stats)

	var x deviceops.Explanation
	r.as(victor, http.MethodGet, "/v1/devices/k2/explain", nil).into(&x)
	require.Equal(t, "k2 is escrow: it waits for its first hello, with the claim that was registered.", x.Summary)
	require.Equal(t, "profile", x.Waits[1].For)

	var timeline struct{ Items []deviceops.TimelineEntry }
	r.as(olga, http.MethodPost, "/v1/devices/k1/tags", deviceops.TagRequest{Add: []string{"x"}}).into(new(deviceops.Device))
	r.as(victor, http.MethodGet, "/v1/devices/k1/timeline", nil).into(&timeline)
	require.Equal(t, "audit", timeline.Items[0].Kind)
}

func TestImportReportsEveryBadRow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML)
	r.device("taken", "globex", deviceops.Active)
	file := strings.Join([]string{
		"\ufeffid,serial,profile,account,claim,tags,labels.site,attributes.ram_mb,zone,latitude,longitude",
		"k1,s1,kiosk,,c1,a; b,berlin,4096,Europe/Berlin,52.5,13.4", // 2
		"k2,s2,kiosk,acme/emea,c2,,,,,,",                           // 3
		"k/3,s3,kiosk,,,,,,,,",                                     // 4
		"k4,s4,kiosk,,,,,,Mars/Base,,",                             // 5
		"k5,s5,kiosk,,,,,lots,,,",                                  // 6
		"k6,s6,kiosk,acme/none,,,,,,,",                             // 7
		"k1,s7,kiosk,,,,,,,,",                                      // 8
		"k8,s1,kiosk,,,,,,,,",                                      // 9
		"k9,s9",                                                    // 10
		"taken,s10,kiosk,,,,,,,,",                                  // 11
		"k12,s12,kiosk,,,,,,,north,",                               // 12
		`k13,"s13 ""x""",kiosk,globex,,,,,,,`,                      // 13
		`k14,s"14,kiosk,,,,,,,,`,                                   // 14
		"k15,s15,kiosk,,,\"x\ny\",,,,,",                            // 15 and 16
		"k17,s17,kiosk,,,,,,,,",                                    // 17
	}, "\n")
	var report deviceops.ImportReport
	r.as(olga, http.MethodPost, "/v1/devices:import", file, "Content-Type", "text/csv; charset=utf-8", "X-Reason", "delivery").into(&report)
	require.Equal(t, 15, report.Total)
	require.Equal(t, map[deviceops.RegisterOutcome]int{deviceops.Registered: 3, deviceops.Conflict: 1}, report.Outcomes)
	var bad []string
	for _, b := range report.Bad {
		bad = append(bad, fmt.Sprintf("%d %s: %s", b.Line, b.ID, b.Reason))
	}
	require.Equal(t, []string{
		`4 k/3: id "k/3": use 1 to 128 of A-Z, a-z, 0-9 and . _ : -`,
		`5 k4: zone "Mars/Base" is no IANA time zone such as Europe/Berlin`,
		`6 k5: attribute ram_mb: lots is not of type integer`,
		`7 k6: there is no account acme/none; make it first: deviceops accounts create acme/none`,
		`8 k1: the same id stands on line 2`,
		`9 k8: the same serial stands on line 2`,
		`10 k9: 2 cells, but the header has 11`,
		`11 taken: the id taken, or the serial s10 of profile kiosk, is taken; nothing was changed`,
		`12 k12: latitude: "north" is no number of degrees`,
		`13 k13: there is no account globex; make it first: deviceops accounts create globex`,
		`14 : not CSV: ` + csv.ErrBareQuote.Error(),
		`15 k15: tag "x\ny": use 1 to 128 characters without comma, semicolon or line break`,
	}, bad)

	var d deviceops.Device
	r.as(olga, http.MethodGet, "/v1/devices/k1", nil).into(&d)
	require.Equal(t, []string{"a", "b"}, d.Tags)
	require.Equal(t, map[string]string{"site": "berlin"}, d.Labels)
	require.Equal(t, map[string]any{"ram_mb": 4096.0}, d.Attributes)
	require.Equal(t, &deviceops.Place{Latitude: 52.5, Longitude: 13.4}, d.Place)
	require.Equal(t, "delivery", r.audited("device:k1").Reason)

	var again deviceops.ImportReport
	r.as(olga, http.MethodPost, "/v1/devices:import", file, "Content-Type", "text/csv").into(&again)
	require.Equal(t, map[deviceops.RegisterOutcome]int{deviceops.Unchanged: 3, deviceops.Conflict: 1}, again.Outcomes, "a rerun changes nothing")
}

func TestImportNDJSON(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	file := `{"id":"k1","profile":"kiosk","labels":{"site":"berlin"}}

{"id":"k2","profile":"kiosk","color":"red"}
not json
{"id":"k3","profile":"kiosk"} {"id":"k4"}
{"id":"k5","profile":"kiosk"}`
	var report deviceops.ImportReport
	r.as(olga, http.MethodPost, "/v1/devices:import", file, "Content-Type", "application/x-ndjson").into(&report)
	require.Equal(t, map[deviceops.RegisterOutcome]int{deviceops.Registered: 2}, report.Outcomes)
	require.Len(t, report.Bad, 3)
	require.Equal(t, []int{3, 4, 5}, []int{report.Bad[0].Line, report.Bad[1].Line, report.Bad[2].Line})
	require.Contains(t, report.Bad[0].Reason, "color")
}

func TestImportRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct{ kind, file, detail string }{
		"type":    {"application/json", "{}", "text/csv"},
		"column":  {"text/csv", "id,colour\n", `"colour"`},
		"twice":   {"text/csv", "id,id\n", "twice"},
		"no id":   {"text/csv", "k1,kiosk\n", "columns are"},
		"nothing": {"text/csv", "", "no header"},
	} {
		t.Run(name, func(t *testing.T) {
			detail := r.as(olga, http.MethodPost, "/v1/devices:import", c.file, "Content-Type", c.kind).refused(422, deviceops.EINVALID)
			require.Contains(t, detail, c.detail)
		})
	}
}

// Ten thousand rows take seconds: DESIGN's measure, with room for slow machines.
func TestImportOfTenThousandRows(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var file strings.Builder
	file.WriteString("id,serial,profile,claim,tags,labels.site\n")
	for i := range 10_000 {
		fmt.Fprintf(&file, "k%05d,s%05d,kiosk,claim-%d,a;b,site-%d\n", i, i, i, i%100)
	}
	begin := time.Now()
	var report deviceops.ImportReport
	r.as(olga, http.MethodPost, "/v1/devices:import", file.String(), "Content-Type", "text/csv").into(&report)
	t.Logf("10,000 rows in %s", time.Since(begin))
	require.Equal(t, map[deviceops.RegisterOutcome]int{deviceops.Registered: 10_000}, report.Outcomes)
	require.Less(t, time.Since(begin), 30*time.Second)
}
