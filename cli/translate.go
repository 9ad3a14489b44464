package cli

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/ingest"
)

// translation is what `translate` was asked.
type translation struct {
	profile, topic, device string
	software               []string
	retained, hex          bool
	command                string
	inputs                 []string
}

func (a *app) translateCommand() *cobra.Command {
	var t translation
	cmd := &cobra.Command{
		Use: "translate FILE", Short: "Show what a profile makes of a device's own messages", Args: args(1, 1),
		Long: `Reads a payload from standard input and shows, offline, what the profile makes of
it: metrics, events, replies to commands and what it says of the device, or why
it is rejected, as by a value outside of what metrics: declares; then it exits with 1.
With --command it shows what a device is
told instead.`,
		Example: `  echo '{"ts":1767225600,"n":1,"temp_f":70.7,"bat":0.87}' | deviceops translate sensor.yaml --topic acme/s1/telemetry
  echo 00d75781 | deviceops translate sensor.yaml --topic acme/s1/compact --hex
  deviceops translate sensor.yaml --command set_interval -i seconds=60`,
	}
	cmd.RunE = func(_ *cobra.Command, given []string) error {
		p, err := a.translating(given[0], t.profile)
		if err != nil {
			return err
		}
		if t.command != "" {
			return a.translateDown(p, t)
		}
		return a.translateUp(p, t)
	}
	f := cmd.Flags()
	f.StringVar(&t.profile, "profile", "", "which profile of the file; needed if several translate")
	f.StringVar(&t.topic, "topic", "", "the topic of the message")
	f.StringVar(&t.device, "device", "device-1", "the id of the device that is told a command")
	f.StringArrayVar(&t.software, "software", nil, "what the device is known to run, component=version; repeat for more")
	f.BoolVar(&t.retained, "retained", false, "the broker had kept the message")
	f.BoolVar(&t.hex, "hex", false, "the payload is given as hexadecimal digits")
	f.StringVar(&t.command, "command", "", "show what a device is told by this command")
	f.StringArrayVarP(&t.inputs, "input", "i", nil, "an argument key=value of the command; repeat for more")
	return cmd
}

// translating gives the profile of a file that is asked for.
func (a *app) translating(file, name string) (*deviceops.Profile, error) {
	sources, err := a.sources([]string{file})
	if err != nil {
		return nil, err
	}
	var found []*deviceops.Profile
	for _, s := range sources {
		compiled, diagnostics := dsl.CheckFile(s.Name, s.Source, dsl.Options{Actions: a.Actions})
		if diagnostics.HasErrors() {
			if err := dsl.WriteText(a.Err, diagnostics); err != nil {
				return nil, err
			}
			return nil, errReported
		}
		for _, c := range compiled {
			if c.Profile != nil && c.Profile.Translation != nil && (name == "" || c.Name == name) {
				found = append(found, c.Profile)
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, Usage(fmt.Errorf("%s holds %d profiles that translate: choose one with --profile", file, len(found)))
	case name != "":
		return nil, deviceops.Errorf(deviceops.EINVALID, "%s holds no profile %s that translates", file, name)
	}
	return nil, deviceops.Errorf(deviceops.EINVALID, "%s holds no profile that translates: it has no translate:", file)
}

func (a *app) translateUp(p *deviceops.Profile, t translation) error {
	m, err := a.message(p, t)
	if err != nil {
		return err
	}
	id, err := p.Translation.Device(m)
	if err != nil {
		return deviceops.Errorf(deviceops.EFAILED, "rejected: %s", deviceops.ErrorMessage(err))
	}
	software, err := pairs(t.software)
	if err != nil {
		return err
	}
	d := &deviceops.Device{ID: id, Profile: p.Name}
	d.Twin.Reported.Software = software
	heard, err := p.Translation.Up(m, d)
	if err != nil {
		return deviceops.Errorf(deviceops.EFAILED, "rejected: %s", deviceops.ErrorMessage(err))
	}
	if code, reason := ingest.JudgeTranslated(p, heard); code != "" {
		return deviceops.Errorf(deviceops.EFAILED, "rejected: %s (%s)", reason, code)
	}
	return a.show(struct {
		Device string `json:"device"`
		deviceops.Heard
	}{id, heard}, func(w *screen) { w.heard(id, heard) })
}

func (a *app) message(p *deviceops.Profile, t translation) (m deviceops.Message, err error) {
	if m.Topic = t.topic; m.Topic == "" {
		return m, Usage(fmt.Errorf("say with --topic on which topic it came: the profile hears %s", strings.Join(p.Translation.Filters(), ", ")))
	}
	m.Retained, m.ReceivedAt = t.retained, a.Now()
	raw, err := io.ReadAll(a.In)
	if err != nil {
		return m, deviceops.Errorf(deviceops.EINVALID, "cannot read standard input: %w", err)
	}
	if m.Payload = raw; !t.hex {
		m.Payload = []byte(strings.TrimSuffix(string(raw), "\n")) // of echo
		return m, nil
	}
	digits := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, string(raw))
	if m.Payload, err = hex.DecodeString(digits); err != nil {
		return m, deviceops.Errorf(deviceops.EINVALID, "standard input holds no hexadecimal digits: %w", err)
	}
	return m, nil
}

func (w *screen) heard(device string, h deviceops.Heard) {
	if h.Ignored {
		w.line("Nothing is wanted of it.")
		return
	}
	var rows [][]string
	for _, s := range h.Said {
		rows = append(rows, []string{s.Leaf, compact(s.Body)})
	}
	for _, r := range h.Replies {
		rows = append(rows, []string{"reply to " + r.Command, strings.TrimSpace(r.ID + " " + compact(r.Body))})
	}
	w.line("device %s", device)
	w.table([]string{"SAYS", "WHAT"}, rows)
	if len(h.Missing) > 0 {
		w.line("left out, since the payload lacks them: %s", strings.Join(h.Missing, ", "))
	}
}

func (a *app) translateDown(p *deviceops.Profile, t translation) error {
	spec, err := p.Command(t.command)
	if err != nil {
		return err
	}
	given, err := pairs(t.inputs)
	if err != nil {
		return err
	}
	prepared, err := spec.Prepare(typedArgs(given))
	if err != nil {
		return err
	}
	now := a.Now()
	out, err := p.Translation.Down(deviceops.Command{
		ID: "command-1", Name: t.command, Args: prepared, Device: t.device, Attempt: 1, ExpiresAt: now.Add(deviceops.DefaultCommandTimeout),
		Route: deviceops.Route{Profile: p.Name, Serial: "serial-of-" + t.device},
	}, now)
	if err != nil {
		return deviceops.Errorf(deviceops.EFAILED, "it cannot be told: %s", deviceops.ErrorMessage(err))
	}
	return a.show(shownOutgoing{out.Topic, shownPayload(out.Payload)}, func(w *screen) {
		w.line("topic    %s", out.Topic)
		w.line("payload  %s", shownPayload(out.Payload))
	})
}

type shownOutgoing struct {
	Topic   string `json:"topic"`
	Payload string `json:"payload"`
}

// shownPayload gives a payload as text if it is one, else as hexadecimal digits.
func shownPayload(raw []byte) string {
	if utf8.Valid(raw) && !strings.ContainsFunc(string(raw), func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
		return string(raw)
	}
	return "hex " + hex.EncodeToString(raw)
}

// typedArgs reads arguments that are numbers, booleans, lists or maps as such.
func typedArgs(texts map[string]string) map[string]any {
	out := make(map[string]any, len(texts))
	for name, text := range texts {
		var v any
		if v = text; json.Valid([]byte(text)) {
			if decoded, err := dsl.DecodeJSON([]byte(text)); err == nil {
				v = decoded
			}
		}
		out[name] = v
	}
	return out
}
