package deviceops_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func at(latitude, longitude float64) deviceops.Place {
	return deviceops.Place{Latitude: latitude, Longitude: longitude}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to deviceops.Place
		meters   float64
	}{
		{at(52.52, 13.405), at(52.52, 13.405), 0},
		{at(52.5200, 13.4050), at(48.8566, 2.3522), 877_460}, // Berlin to Paris
		{at(0, 179.9), at(0, -179.9), 22_239},                // over the antimeridian
		{at(90, 0), at(90, 120), 0},                          // a pole has all longitudes
		{at(89.9, 0), at(89.9, 180), 22_239},                 // over the pole
		{at(0, 0), at(0, 180), 20_015_115},                   // half around
	} {
		require.InDelta(t, c.meters, c.from.Distance(c.to), 0.001*c.meters+0.01, fmt.Sprint(c))
		require.InDelta(t, c.from.Distance(c.to), c.to.Distance(c.from), 1e-6)
	}
}

func TestBeyond(t *testing.T) {
	t.Parallel()
	circle := deviceops.Fence{Center: at(0, 0), Radius: 1000}
	square := deviceops.Fence{Polygon: []deviceops.Place{at(59, 179), at(59, -179), at(61, -179), at(61, 179)}}
	for _, c := range []struct {
		fence  deviceops.Fence
		place  deviceops.Place
		meters float64
	}{
		{circle, at(0, 0), 0},
		{circle, at(0, 0.00899), 0},
		{circle, at(0.01, 0), 111.95},
		{square, at(60, 180), 0},
		{square, at(61.001, 180), 111.2},    // above a side
		{square, at(60, 178.998), 111.2},    // beside one, over the antimeridian
		{square, at(61.001, -178.998), 154}, // off a corner
	} {
		require.InDelta(t, c.meters, c.fence.Beyond(c.place), 0.02*c.meters+0.01, fmt.Sprint(c.place))
	}
}

func TestMove(t *testing.T) {
	t.Parallel()
	here := at(53.5, 10)
	data, ok := deviceops.Move(nil, here)
	require.True(t, ok)
	require.Equal(t, map[string]any{"latitude": 53.5, "longitude": 10.0}, data)
	_, ok = deviceops.Move(&here, at(53.50005, 10))
	require.False(t, ok, "5 m are none")
	data, ok = deviceops.Move(&here, at(53.501, 10))
	require.True(t, ok)
	require.Equal(t, map[string]any{"latitude": 53.501, "longitude": 10.0, "moved_m": 111.0, "from": map[string]any{"latitude": 53.5, "longitude": 10.0}}, data)
}

func TestFenceContains(t *testing.T) {
	t.Parallel()
	circle := func(latitude, longitude, radius float64) deviceops.Fence {
		return deviceops.Fence{Center: at(latitude, longitude), Radius: radius}
	}
	polygon := func(corners ...deviceops.Place) deviceops.Fence { return deviceops.Fence{Polygon: corners} }
	square := polygon(at(0, 0), at(0, 10), at(10, 10), at(10, 0))
	notched := polygon(at(0, 0), at(0, 10), at(10, 10), at(5, 5), at(10, 0))
	fiji := polygon(at(-20, 175), at(-20, -175), at(-15, -175), at(-15, 175))
	arctic := polygon(at(70, 0), at(70, 90), at(70, 180), at(70, -90))
	antarctic := polygon(at(-70, 0), at(-70, -90), at(-70, 180), at(-70, 90))
	for name, c := range map[string]struct {
		fence   deviceops.Fence
		in, out []deviceops.Place
	}{
		"a circle":                     {circle(52.52, 13.405, 1000), []deviceops.Place{at(52.52, 13.405), at(52.528, 13.405)}, []deviceops.Place{at(52.53, 13.405), at(-52.52, 13.405)}},
		"a circle at the antimeridian": {circle(0, 179.999, 1000), []deviceops.Place{at(0, -179.999), at(0, 179.995)}, []deviceops.Place{at(0, -179.9), at(0, 0)}},
		"a circle at the pole":         {circle(90, 0, 100_000), []deviceops.Place{at(89.5, 0), at(89.5, -120), at(90, 77)}, []deviceops.Place{at(88, 0), at(-90, 0)}},
		"a point":                      {circle(1, 1, 0), []deviceops.Place{at(1, 1)}, []deviceops.Place{at(1, 1.0001)}},
		"a square":                     {square, []deviceops.Place{at(5, 5), at(1, 9), at(9.99, 0.01)}, []deviceops.Place{at(5, 11), at(5, -1), at(11, 5), at(-1, 5), at(5, 185), at(5, -175)}},
		"a square, the other way":      {polygon(at(10, 0), at(10, 10), at(0, 10), at(0, 0)), []deviceops.Place{at(5, 5)}, []deviceops.Place{at(5, 11), at(-5, 5), at(89, 5)}},
		"a notch":                      {notched, []deviceops.Place{at(3, 5), at(8, 1), at(8, 9)}, []deviceops.Place{at(8, 5), at(5.1, 5)}},
		"over the antimeridian":        {fiji, []deviceops.Place{at(-17, 180), at(-17, -180), at(-17, 178), at(-17, -176)}, []deviceops.Place{at(-17, 174), at(-17, -174), at(-17, 0), at(-10, 180)}},
		"around the north pole":        {arctic, []deviceops.Place{at(90, 0), at(80, 10), at(71, -179), at(71, 135)}, []deviceops.Place{at(60, 10), at(0, 180), at(-90, 0)}},
		"around the south pole":        {antarctic, []deviceops.Place{at(-90, 0), at(-80, 10), at(-71, 179)}, []deviceops.Place{at(-60, 10), at(0, 180), at(90, 0)}},
		"beside the pole":              {polygon(at(80, 0), at(80, 20), at(89, 10)), []deviceops.Place{at(82, 10)}, []deviceops.Place{at(90, 10), at(82, -170), at(79, 10)}},
		"a corner on the meridian":     {polygon(at(0, -10), at(10, 0), at(0, 10), at(-10, 0)), []deviceops.Place{at(0, 0), at(-9, 0), at(5, 0)}, []deviceops.Place{at(-11, 0), at(11, 0)}},
	} {
		for _, p := range c.in {
			require.True(t, c.fence.Contains(p), "%s holds %v", name, p)
		}
		for _, p := range c.out {
			require.False(t, c.fence.Contains(p), "%s does not hold %v", name, p)
		}
	}
}
