package deviceops

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Tell says in words what an event tells: of the engine's own types in a
// sentence, of a device's the data.
func (e Event) Tell() string {
	if tell, ok := tellers[e.Type]; ok {
		return tell(e.Data)
	}
	return tellData(e.Data)
}

// tellers know what the engine writes into its own events.
var tellers = map[string]func(map[string]any) string{
	EventDeviceState: func(d map[string]any) string {
		return fmt.Sprintf("%v → %v by %v%s", d["from"], d["to"], d["by"], tellReason(d["reason"]))
	},
	EventDeviceConnectivity: tellConnectivity,
	EventConnectivityDamped: tellConnectivity,
	EventPlace: func(d map[string]any) string {
		if d["from"] == nil {
			return fmt.Sprintf("it is at %v, %v", d["latitude"], d["longitude"])
		}
		return fmt.Sprintf("%v m away, at %v, %v", d["moved_m"], d["latitude"], d["longitude"])
	},
	EventDegraded: func(d map[string]any) string {
		return fmt.Sprintf("since %v: %s", d["since"], tellNames(d["because"]))
	},
	EventRecovered: func(d map[string]any) string {
		return fmt.Sprintf("well again after %v s: %s", d["degraded_s"], tellNames(d["because"]))
	},
	EventFlapping: func(d map[string]any) string {
		return fmt.Sprintf("%v changes within %v s, now %v: they are told no more", d["changes"], d["within_s"], d["connectivity"])
	},
	EventStable: func(d map[string]any) string {
		return fmt.Sprintf("%v, after %v changes in %v s", d["connectivity"], d["changes"], d["flapping_s"])
	},
	EventDeviceBooted: func(d map[string]any) string {
		return fmt.Sprintf("it started, boot %v", d["boot"])
	},
	EventDeviceReported: func(d map[string]any) string {
		return tellList("configuration "+fmt.Sprint(d["config_version"]), tellMap(d["software"]), tellMap(d["attributes"]))
	},
	EventProvision: func(d map[string]any) string {
		return fmt.Sprintf("%v: %v", d["phase"], d["text"])
	},
	EventCommand: tellCommand,
	EventClock: func(d map[string]any) string {
		return fmt.Sprintf("its clock says %v; %v, when it was received, counts", d["claimed"], d["received"])
	},
}

func tellConnectivity(d map[string]any) string {
	return fmt.Sprintf("%v → %v%s", d["from"], d["to"], tellReason(d["because"]))
}

// tellNames lists names, as they are or as they come back from JSON.
func tellNames(v any) string {
	if names, ok := v.([]string); ok {
		return strings.Join(names, ", ")
	}
	list, _ := v.([]any)
	parts := make([]string, len(list))
	for i, name := range list {
		parts[i] = fmt.Sprint(name)
	}
	return strings.Join(parts, ", ")
}

func tellCommand(d map[string]any) string {
	text := fmt.Sprintf("%v %v, attempt %v", d["name"], d["status"], d["attempt"])
	if cause, ok := d["error"].(map[string]any); ok {
		text += fmt.Sprintf(": %v (%v)", cause["code"], cause["message"])
	}
	if phase, ok := d["phase"].(string); ok && phase != "" {
		text += ", " + phase
	}
	return text
}

func tellReason(reason any) string {
	if reason == nil || reason == "" {
		return ""
	}
	return fmt.Sprintf(": %v", reason)
}

// tellData lists values by name.
func tellData(data map[string]any) string {
	parts := make([]string, 0, len(data))
	for _, name := range slices.Sorted(maps.Keys(data)) {
		parts = append(parts, fmt.Sprintf("%s=%v", name, data[name]))
	}
	return strings.Join(parts, " ")
}

// tellMap lists a map that went through JSON, such as the versions of
// components.
func tellMap(v any) string {
	values, _ := v.(map[string]any)
	parts := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, fmt.Sprintf("%s %v", name, values[name]))
	}
	return strings.Join(parts, ", ")
}

func tellList(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ", ")
}
