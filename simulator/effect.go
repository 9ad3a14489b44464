package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// plan is how a device carries a command out.
type plan struct {
	stages []stage
	point  int // the number of finished stages from which a cancel is too late
	// apply is the effect, after the stages; it gives the output.
	apply func() protocol.Object
	// outside is the effect in place of apply where another party takes part.
	outside func() (protocol.Object, *protocol.DeviceError)
	// failure is how it fails in the end, whatever chance says; nil: it does not.
	failure *protocol.DeviceError
	// fall is what a failure leaves behind; nil: nothing.
	fall    func()
	reboots bool
	held    bool // it holds before its effect, see stage.hold
}

// stage is a wait, and what is told when it is over.
type stage struct {
	wait      time.Duration
	component string
	phase     string
	// fetch is done after the wait where another party takes part; nil: nothing.
	fetch func() *protocol.DeviceError
	// stores is what is there to stay after it: component@version.
	stores string
	// hold is in place of a wait where something may begin only between two
	// times: how long it is until then, or that it is too late.
	hold func() (wait time.Duration, late bool)
}

func (p plan) duration() time.Duration {
	var sum time.Duration
	for _, s := range p.stages {
		sum += s.wait
	}
	return sum
}

// plan says how to carry c out, or why the device refuses.
func (d *device) plan(c *protocol.Command) (plan, *protocol.DeviceError) {
	wait := d.chance.latency(d.fleet.cfg.Behavior.Latency)
	switch c.Name {
	case deviceops.CommandInstall:
		return d.planInstall(c.Args, wait)
	case deviceops.CommandConfigure:
		return d.planConfigure(c.Args, wait)
	case deviceops.CommandCollect:
		return d.planCollect(c.Args, wait)
	case deviceops.CommandReboot:
		p := simple(wait, func() protocol.Object { return protocol.Object{} })
		p.reboots = true
		return p, nil
	case deviceops.CommandWipe:
		return simple(wait, d.wipe), nil
	case "diagnostics":
		return simple(wait, d.diagnose), nil
	case "health":
		return simple(wait, func() protocol.Object { return protocol.Object{"online": true, "uptime_s": d.uptime()} }), nil
	}
	if output, ok := d.fleet.cfg.Commands[c.Name]; ok {
		return simple(wait, func() protocol.Object { return output }), nil
	}
	return plan{}, &protocol.DeviceError{Code: protocol.ErrorUnknownCommand, Message: "this device has no command " + c.Name}
}

// simple is one wait, during which the command may be canceled.
func simple(wait time.Duration, apply func() protocol.Object) plan {
	return plan{stages: []stage{{wait: wait}}, point: 1, apply: apply}
}

func refuse(err error) *protocol.DeviceError {
	return &protocol.DeviceError{Code: protocol.ErrorInvalidArgs, Message: err.Error()}
}

func (d *device) diagnose() protocol.Object {
	return protocol.Object{"uptime_s": d.uptime(), "disk_free_pct": float64(10 + d.chance.IntN(80))}
}

func (d *device) wipe() protocol.Object {
	d.memory.Configuration, d.memory.ConfigVersion, d.memory.Crashes = nil, 0, 0
	d.report()
	return protocol.Object{}
}

// report says what is in force.
func (d *device) report() {
	version := d.memory.ConfigVersion
	d.say(&protocol.Reported{Header: protocol.Header{Boot: d.boot, Time: d.now()}, ConfigVersion: &version, Software: d.memory.Software})
}

func (d *device) planConfigure(args protocol.Object, wait time.Duration) (plan, *protocol.DeviceError) {
	var c protocol.Configure
	if err := args.Into(&c); err != nil {
		return plan{}, refuse(err)
	}
	if err := c.Check(); err != nil {
		return plan{}, refuse(err)
	}
	if c.Version < d.memory.ConfigVersion {
		return plan{}, &protocol.DeviceError{Code: "stale_version",
			Message: fmt.Sprintf("version %d is older than %d, which is in force", c.Version, d.memory.ConfigVersion)}
	}
	return simple(wait, func() protocol.Object { return d.configure(c) }), nil
}

// configure tells what is in force now, then that it lives, before the result.
func (d *device) configure(c protocol.Configure) protocol.Object {
	d.memory.ConfigVersion, d.memory.Configuration = c.Version, c.Configuration
	d.report()
	if c.Heartbeat != nil {
		d.adopt(c.Heartbeat)
	}
	d.beat()
	return protocol.Object{"version": c.Version}
}

// restarting are the components that need a restart to become active.
var restarting = map[string]bool{"os": true, "firmware": true, "kernel": true, "bootloader": true}

func (d *device) planInstall(args protocol.Object, wait time.Duration) (plan, *protocol.DeviceError) {
	var in protocol.Install
	if err := args.Into(&in); err != nil {
		return plan{}, refuse(err)
	}
	if err := in.Check(); err != nil {
		return plan{}, refuse(err)
	}
	batches, refusal := d.missing(in)
	if refusal != nil {
		return plan{}, refusal
	}
	p := installStages(batches, wait, d.stored)
	if d.fleet.cfg.Download.Enabled {
		d.fetching(p.stages, in)
	}
	p.holdUntil(in, time.Now())
	p.failure = d.bad(batches)
	p.apply = func() protocol.Object { return d.activate(batches, p.reboots, in) }
	if len(batches) > 1 && !p.reboots {
		unconfigured := in
		unconfigured.Configure = nil
		p.fall = func() { d.activate(batches[:len(batches)-1], false, unconfigured) }
	}
	return p, nil
}

// bad says why one of the components cannot be installed; nil: all can.
func (d *device) bad(batches [][]deviceops.ComponentChange) *protocol.DeviceError {
	for _, c := range slices.Concat(batches...) {
		for _, b := range d.fleet.cfg.Behavior.Bad {
			if b.Version == c.To && (b.Component == "" || b.Component == c.Name) {
				return &protocol.DeviceError{Code: "install_failed", Message: c.Name + " " + c.To + " does not start", Retryable: b.Retryable}
			}
		}
	}
	return nil
}

// missing gives the batches that hold a component which isn't there yet.
func (d *device) missing(in protocol.Install) ([][]deviceops.ComponentChange, *protocol.DeviceError) {
	var batches [][]deviceops.ComponentChange
	for _, batch := range in.Batches() {
		needed := false
		for _, c := range batch {
			now := d.memory.Software[c.Name]
			if now == c.To {
				continue
			}
			if c.From != "" && c.From != now {
				return nil, &protocol.DeviceError{Code: "wrong_version",
					Message: fmt.Sprintf("%s is at %q, not at %q", c.Name, now, c.From)}
			}
			needed = true
		}
		if needed {
			batches = append(batches, batch)
		}
	}
	return batches, nil
}

// holdUntil has a plan wait before its point of no return until it may install,
// counted from when its command came in.
func (p *plan) holdUntil(in protocol.Install, came time.Time) {
	if in.InstallIn == 0 && in.InstallWithin == 0 {
		return
	}
	p.held = true
	p.stages = slices.Insert(p.stages, p.point, stage{hold: func() (time.Duration, bool) {
		passed := time.Since(came)
		return in.InstallIn.Duration() - passed, in.InstallWithin > 0 && passed > in.InstallWithin.Duration()
	}})
	p.point++
}

// installStages downloads everything that is not there yet before anything is
// installed, which is the point of no return.
func installStages(batches [][]deviceops.ComponentChange, wait time.Duration, stored map[string]bool) plan {
	var p plan
	for _, batch := range batches {
		for _, c := range batch {
			if content := c.Name + "@" + c.To; !stored[content] {
				p.stages = append(p.stages, stage{wait: wait / 10, component: c.Name, phase: protocol.PhaseDownloading},
					stage{wait: wait, component: c.Name, phase: protocol.PhaseDownloaded, stores: content})
			}
			p.reboots = p.reboots || restarting[c.Name]
		}
	}
	p.point = len(p.stages)
	for _, batch := range batches {
		for _, c := range batch {
			p.stages = append(p.stages, stage{wait: wait / 2, component: c.Name, phase: protocol.PhaseInstalling})
		}
	}
	if p.reboots {
		p.stages = append(p.stages, stage{phase: protocol.PhaseRebooting})
	}
	return p
}

// fetching makes the stages in which components are downloaded do so.
func (d *device) fetching(stages []stage, in protocol.Install) {
	components := make(map[string]deviceops.ComponentChange, len(in.Components))
	for _, c := range in.Components {
		components[c.Name] = c
	}
	for i, s := range stages {
		if s.phase == protocol.PhaseDownloaded {
			stages[i].wait = 0
			stages[i].fetch = func() *protocol.DeviceError { return d.download(in.Release, components[s.component]) }
		}
	}
}

// activate makes the new versions, and the configuration that comes with them, the
// ones that are in force: now, or at the boot that follows.
func (d *device) activate(batches [][]deviceops.ComponentChange, reboots bool, in protocol.Install) protocol.Object {
	for _, batch := range batches {
		for _, c := range batch {
			d.memory.Software[c.Name] = c.To
		}
	}
	if c := in.Configure; c != nil {
		d.memory.ConfigVersion, d.memory.Configuration = c.Version, c.Configuration
	}
	d.dirty = true
	if !reboots && (len(batches) > 0 || in.Configure != nil) {
		d.report()
	}
	if c := in.Configure; c != nil && c.Heartbeat != nil {
		d.adopt(c.Heartbeat)
	}
	return protocol.Object{"release": in.Release}
}

// transfers reaches other parties than the broker. A device waits for an answer,
// and for no whole transfer, which may be long.
var transfers = &http.Client{Transport: &http.Transport{
	Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 30 * time.Second,
}}

func (d *device) planCollect(args protocol.Object, wait time.Duration) (plan, *protocol.DeviceError) {
	var c protocol.Collect
	if err := args.Into(&c); err != nil {
		return plan{}, refuse(err)
	}
	log := fmt.Appendf(nil, "device %s\nboot %s\nsoftware %v\nconfig version %d\n", d.ID, d.boot, d.memory.Software, d.memory.ConfigVersion)
	return plan{stages: []stage{{wait: wait}}, point: 1, outside: func() (protocol.Object, *protocol.DeviceError) {
		return upload(c.URL, log)
	}}, nil
}

// upload puts body where a signed URL points to.
func upload(url string, body []byte) (protocol.Object, *protocol.DeviceError) {
	request, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return nil, &protocol.DeviceError{Code: protocol.ErrorInvalidArgs, Message: err.Error()}
	}
	response, err := transfers.Do(request)
	if err != nil {
		return nil, &protocol.DeviceError{Code: "upload_failed", Message: err.Error(), Retryable: true}
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return nil, &protocol.DeviceError{Code: "upload_failed", Message: "upload answered " + response.Status, Retryable: true}
	}
	sum := sha256.Sum256(body)
	return protocol.Object{"url": url, "size": int64(len(body)), "sha256": hex.EncodeToString(sum[:])}, nil
}
