package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// RouteTried is what a route makes of an event.
type RouteTried struct {
	Route   string            `json:"route"`
	Outcome string            `json:"outcome"` // forwarded, passed over, not selected, dead letter
	Reason  string            `json:"reason,omitempty"`
	Values  []any             `json:"values,omitempty"` // what every target gets
	Topics  map[string]string `json:"topics,omitempty"` // of targets on MQTT
}

func (a *app) routesTest() *cobra.Command {
	var event, device string
	var id int64
	cmd := &cobra.Command{
		Use: "test FILE...", Short: "Show what routes would make of an event, and send nothing", Args: args(1, 100),
		Long: `Judges and shapes an event by the routes of files, here and now. The event is
given as JSON in a file, with its device's facts if the routes read any, or it is
one that the server has: then its device is the one that the server knows.`,
		Example: `  deviceops routes test routes.yaml --event event.json
  deviceops routes test routes.yaml --event event.json --device kiosk-0001.json
  deviceops routes test routes.yaml --id 48211`,
	}
	cmd.Flags().StringVar(&event, "event", "", "JSON file with an event; - is the standard input")
	cmd.Flags().StringVar(&device, "device", "", "JSON file with its device, as devices show -o json writes it")
	cmd.Flags().Int64Var(&id, "id", 0, "an event that the server has")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (event == "") == (id == 0) {
			return Usage(fmt.Errorf("name an event by --event FILE or by --id NUMBER"))
		}
		if id < 0 {
			return Usage(fmt.Errorf("--id is a number from 1 on: deviceops events tail -o json shows those of events"))
		}
		routes, err := a.routesOf(args)
		if err != nil {
			return err
		}
		e, d, err := a.occasion(cmd.Context(), event, device, id)
		if err != nil {
			return err
		}
		tried := make([]RouteTried, len(routes))
		for i, r := range routes {
			tried[i] = tryRoute(r, e, d)
		}
		return a.show(tried, func(w *screen) { w.tried(tried) })
	}
	return cmd
}

// routesOf compiles the routes of files.
func (a *app) routesOf(files []string) ([]*dsl.Route, error) {
	sources, err := a.sources(files)
	if err != nil {
		return nil, err
	}
	found, _ := a.checkAll(sources)
	if found.HasErrors() {
		if err := dsl.WriteText(a.Err, found); err != nil {
			return nil, err
		}
		return nil, failed("%s", countErrors(found, len(sources)))
	}
	var routes []*dsl.Route
	for _, s := range sources {
		compiled, _ := dsl.CheckFile(s.Name, s.Source, dsl.Options{})
		for _, c := range compiled {
			if c.Route != nil {
				routes = append(routes, c.Route)
			}
		}
	}
	if len(routes) == 0 {
		return nil, failed("there is no route in these files")
	}
	return routes, nil
}

// occasion gives the event to try, and its device, nil if nothing is known of it.
func (a *app) occasion(ctx context.Context, event, device string, id int64) (e deviceops.Event, d *deviceops.Device, err error) {
	if id > 0 {
		return a.storedEvent(ctx, id)
	}
	if err := a.readJSON(event, &e); err != nil {
		return e, nil, err
	}
	if device == "" {
		return e, nil, nil
	}
	d = &deviceops.Device{}
	return e, d, a.readJSON(device, d)
}

func (a *app) storedEvent(ctx context.Context, id int64) (e deviceops.Event, d *deviceops.Device, err error) {
	c, err := a.client()
	if err != nil {
		return e, nil, err
	}
	if e, err = c.Event(ctx, id); err != nil || e.Device == "" {
		return e, nil, err
	}
	device, err := c.Device(ctx, e.Device)
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		return e, nil, nil
	}
	return e, &device, err
}

func (a *app) readJSON(file string, v any) error {
	in := a.In
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return deviceops.Errorf(deviceops.ENOTFOUND, "read %s: %w", file, err)
		}
		defer opened.Close()
		in = opened
	}
	text, err := io.ReadAll(in)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "%s is not the JSON that is wanted: %w", file, err)
	}
	return nil
}

func tryRoute(r *dsl.Route, e deviceops.Event, d *deviceops.Device) RouteTried {
	tried := RouteTried{Route: r.Name, Outcome: "not selected"}
	if !r.Selects(e.Type) {
		return tried
	}
	f, err := r.Forward(e, d)
	for _, t := range r.Targets {
		if err != nil || t.MQTT == nil || len(f.Values) == 0 {
			continue
		}
		if tried.Topics == nil {
			tried.Topics = map[string]string{}
		}
		tried.Topics[t.Name], err = t.MQTT.Topic(f)
	}
	switch tried.Values = f.Values; {
	case err != nil:
		tried.Outcome, tried.Reason = "dead letter", deviceops.ErrorMessage(err)
	case len(f.Values) == 0:
		tried.Outcome = "passed over"
	default:
		tried.Outcome = "forwarded"
	}
	return tried
}

func (w *screen) tried(all []RouteTried) {
	for i, t := range all {
		if i > 0 {
			w.line("")
		}
		w.fields("route", t.Route, "outcome", w.paint(t.Outcome), "reason", t.Reason)
		for target, topic := range t.Topics {
			w.line("%s publishes to %s", target, topic)
		}
		for _, value := range t.Values {
			text, _ := json.MarshalIndent(value, "", "  ") // it came out of an expression
			w.line("%s", text)
		}
	}
}
