package dev

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/simulator"
)

// Releases of the demo. Some of the devices that run the bad one crash.
const (
	demoProject = "kiosk-os"
	demoBefore  = "2.3.0"
	demoGood    = "2.4.0"
	demoBad     = "2.5.0"
)

// demoFault is the share of devices that the bad release does not suit. One in
// eight is seldom enough to get past ten devices in two cases of three, and past
// sixty in one of 300. Among few devices there might be none of them, so there it
// is most.
func demoFault(devices int) float64 {
	if devices < 80 {
		return 0.8
	}
	return 0.125
}

// demoManifest is what an author writes for a release.
const demoManifest = `rollout: kiosk-%[1]s
change: { release: kiosk-os@%[1]s }
targets: device.profile == "kiosk" && device.state == "active"
rings:
  - { name: canary, take: 10, soak: 8s }
  - { name: early, take: 50, soak: 6s }
  - { name: everyone }
in_flight: 1000
stragglers: { after: 10m, then: excuse }
health: device.reported.software.os == release.version && (device.metrics.crashes ?? 0) == 0
gate: { pass: ring.failed + ring.unhealthy < 2, fail: rollout.failed + rollout.unhealthy >= 2 }
on_fail: rollback-all
`

// rollouts shows a good release reaching everybody, through the death of the
// engine, and a bad one that is stopped and taken back.
func (d *demo) rollouts(ctx context.Context, fleet *Fleet) error {
	for _, version := range []string{demoBefore, demoGood, demoBad} {
		if err := d.release(ctx, version); err != nil {
			return err
		}
	}
	if err := d.goodRelease(ctx, fleet); err != nil {
		return err
	}
	if err := d.badRelease(ctx); err != nil {
		return err
	}
	return d.question(ctx, honest(fleet))
}

// release creates a release whose one component is an image for show.
func (d *demo) release(ctx context.Context, version string) error {
	image := []byte(strings.Repeat(demoProject+" "+version+"\n", 4096))
	sum := sha256.Sum256(image)
	digest := hex.EncodeToString(sum[:])
	if _, err := d.client.PutArtifact(ctx, "", digest, bytes.NewReader(image), int64(len(image)), "the demo"); err != nil {
		return err
	}
	_, err := d.client.CreateRelease(ctx, "", deviceops.ReleaseRequest{
		Project: demoProject, Version: version, Reason: "the demo", Components: []deviceops.ComponentRequest{{Name: "os", SHA256: digest}},
	})
	return err
}

func (d *demo) create(ctx context.Context, version string) (string, error) {
	manifest := fmt.Sprintf(demoManifest, version)
	created, err := d.client.CreateRollout(ctx, deviceops.RolloutRequest{Source: manifest, Reason: "the demo"})
	if err != nil {
		return "", err
	}
	if created.Refused {
		return "", deviceops.Errorf(deviceops.EINTERNAL, "the demo's manifest was refused: %+v", created.Diagnostics)
	}
	return created.Rollout.Name, nil
}

func (d *demo) goodRelease(ctx context.Context, fleet *Fleet) error {
	fmt.Fprintf(d.out, "\nA release: kiosk-os@%s, to everybody that is active, ring by ring. This is all there is to write:\n\n%s\n",
		demoGood, indented(fmt.Sprintf(demoManifest, demoGood)))
	name, err := d.create(ctx, demoGood)
	if err != nil {
		return err
	}
	killed := d.engine == nil
	end, err := d.follow(ctx, name, func(r deviceops.RolloutReport) error {
		if last := r.Rollout.Rings[len(r.Rollout.Rings)-1]; killed || last.Counts.Finished() < max(1, last.Counts.Targeted/10) {
			return nil
		}
		killed = true
		return d.crash(ctx, r)
	})
	if err != nil {
		return err
	}
	if end.Rollout.Status != deviceops.RolloutSucceeded {
		return deviceops.Errorf(deviceops.EFAILED, "rollout %s %s: %s", name, end.Rollout.Status, end.Rollout.StatusReason)
	}
	return d.tally(ctx, fleet, end)
}

// crash kills the engine and brings it up again.
func (d *demo) crash(ctx context.Context, r deviceops.RolloutReport) error {
	total := r.Rollout.Total()
	d.board.leave()
	fmt.Fprintf(d.out, "\n  kill -9 of the engine, with %d devices at it and %d to go ...\n", total.InFlight(), total.Pending)
	began := time.Now()
	d.engine.kill()
	if err := d.engine.start(ctx); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "  the engine is back after %.1f s and goes on where it was.\n\n", time.Since(began).Seconds())
	return nil
}

// tally counts from outside, by what devices did and say, whether anything was
// repeated or lost. EFAILED if so.
func (d *demo) tally(ctx context.Context, fleet *Fleet, end deviceops.RolloutReport) error {
	devices, err := allDevices(ctx, d.client, "kiosk")
	if err != nil {
		return err
	}
	repeated, lost, reached := len(fleet.Simulator.Ledger().Repeats()), 0, 0
	for _, device := range devices {
		switch {
		case device.State != deviceops.Active || device.ID == ownDevice:
		case device.Twin.Reported.Software["os"] == demoGood:
			reached++
		default:
			lost++
		}
	}
	fmt.Fprintf(d.out, "\n%s %s after %s: %d devices run os %s. Repeated %d, lost %d.\n",
		end.Rollout.Name, end.Rollout.Status, lasted(end.Rollout), reached, demoGood, repeated, lost)
	if repeated+lost > 0 {
		return deviceops.Errorf(deviceops.EFAILED, "%d attempts of a command ran twice and %d devices were lost", repeated, lost)
	}
	return nil
}

func lasted(r deviceops.Rollout) time.Duration {
	return r.FinishedAt.Sub(r.StartedAt).Round(100 * time.Millisecond)
}

func (d *demo) badRelease(ctx context.Context) error {
	fmt.Fprintf(d.out, "\nAnother release, kiosk-os@%s, by the same twelve lines. Nobody knows yet that it makes %.3g %% of them crash.\n\n",
		demoBad, 100*demoFault(d.devices))
	name, err := d.create(ctx, demoBad)
	if err != nil {
		return err
	}
	end, err := d.follow(ctx, name, func(deviceops.RolloutReport) error { return nil })
	if err != nil {
		return err
	}
	if end.Rollout.Status != deviceops.RolloutReverted {
		return deviceops.Errorf(deviceops.EFAILED, "rollout %s %s: %s", name, end.Rollout.Status, end.Rollout.StatusReason)
	}
	return d.aftermath(ctx, end)
}

// aftermath counts from outside who was touched, and who is back.
func (d *demo) aftermath(ctx context.Context, end deviceops.RolloutReport) error {
	total := end.Rollout.Total()
	devices, err := allDevices(ctx, d.client, "kiosk")
	if err != nil {
		return err
	}
	bad := 0
	for _, device := range devices {
		if device.Twin.Reported.Software["os"] == demoBad {
			bad++
		}
	}
	for _, ring := range end.Rollout.Rings {
		if ring.Status == deviceops.RingFailed {
			fmt.Fprintf(d.out, "\nIts gate stopped it in ring %s: %s.\n", ring.Name, ring.Reason)
		}
	}
	fmt.Fprintf(d.out, "%d of %d devices were ever touched, %d are back on %s, %d still run %s.\n",
		total.Reached(), total.Targeted, total.Reverted, demoGood, bad, demoBad)
	if bad > 0 {
		return deviceops.Errorf(deviceops.EFAILED, "%d devices were left on the bad release", bad)
	}
	return nil
}

// honest gives the first device that did not lie.
func honest(fleet *Fleet) string {
	i := slices.IndexFunc(fleet.Devices, func(d simulator.Identity) bool { return d.Lie == "" })
	return fleet.Devices[max(i, 0)].ID
}

// question leaves a run that waits for a person.
func (d *demo) question(ctx context.Context, device string) error {
	run, err := d.client.StartRun(ctx, deviceops.RunRequest{
		Workflow: "reboot-with-approval", Device: device, Inputs: map[string]any{"battery": 18}, Reason: "the demo",
	}, "demo")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(d.patience); ; {
		open, err := d.client.ListApprovals(ctx, "", deviceops.ApprovalOpen, device, 1)
		if err != nil {
			return err
		}
		if len(open.Items) > 0 {
			d.approval = open.Items[0]
			return nil
		}
		if time.Now().After(deadline) {
			return deviceops.Errorf(deviceops.ETIMEOUT, "run %s asked nobody", run.ID)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow shows a rollout until it ends. see may act on what it sees.
func (d *demo) follow(ctx context.Context, name string, see func(deviceops.RolloutReport) error) (last deviceops.RolloutReport, err error) {
	d.board = board{out: d.out, terminal: d.terminal}
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	for report, err := range d.client.FollowRollout(ctx, name) {
		if err != nil {
			return last, err
		}
		last = report
		d.board.draw(rolloutTable(report.Rollout), rolloutLine(report.Rollout))
		if err := see(report); err != nil {
			return last, err
		}
	}
	if !last.Rollout.Status.Ended() {
		return last, deviceops.Errorf(deviceops.EUNAVAILABLE, "the server ended the stream before rollout %s did", name)
	}
	return last, nil
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}
