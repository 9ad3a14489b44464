package deviceops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestTypedAttributes(t *testing.T) {
	t.Parallel()
	p := &deviceops.Profile{Name: "kiosk", Attributes: map[string]string{"ram": "integer", "size": "number", "touch": "boolean", "panel": "string"}}
	for name, given := range map[string]map[string]any{
		"as text":   {"ram": "512", "size": "7.5", "touch": "true", "panel": "oled"},
		"as values": {"ram": int64(512), "size": 7.5, "touch": true, "panel": "oled"},
		"as JSON":   {"ram": 512.0, "size": 7.5, "touch": true, "panel": "oled"},
	} {
		typed, err := p.TypedAttributes(given)
		require.NoError(t, err, name)
		require.Equal(t, map[string]any{"ram": int64(512), "size": 7.5, "touch": true, "panel": "oled"}, typed, name)
	}
	for name, given := range map[string]map[string]any{
		"not declared":   {"color": "red"},
		"no integer":     {"ram": 1.5},
		"a list":         {"ram": []any{}},
		"no number":      {"size": "big"},
		"no boolean":     {"touch": "yes"},
		"a number":       {"panel": 7.0},
		"nothing at all": {"panel": nil},
	} {
		_, err := p.TypedAttributes(given)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), name)
	}
}
