package forward

import (
	"context"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// library has the newest version of each route of which a target is held,
// compiled.
type library struct {
	store  deviceops.Store
	routes map[string]*version // by account and name
}

// version is a published route. One that this version of the engine cannot
// compile has no targets.
type version struct {
	deviceops.Document
	*dsl.Route
	Version int
}

func libraryKey(k deviceops.TargetKey) string { return k.Account + "\x00" + k.Route }

// refresh reads what is published of the routes of some targets. One that was
// retired is left out; what is known is not compiled again.
func (l *library) refresh(ctx context.Context, rows []deviceops.RouteTarget) error {
	routes := map[string]*version{}
	for _, row := range rows {
		key := libraryKey(row.TargetKey)
		if _, read := routes[key]; read {
			continue
		}
		d, err := l.store.FindDocument(ctx, row.Account, deviceops.KindRoute, row.Route, 0)
		switch {
		case deviceops.ErrorCode(err) == deviceops.ENOTFOUND, err == nil && d.Account != row.Account:
			routes[key] = nil
		case err != nil:
			return err
		default:
			routes[key] = l.compile(key, d)
		}
	}
	l.routes = routes
	return nil
}

func (l *library) compile(key string, d deviceops.Document) *version {
	if known := l.routes[key]; known != nil && known.Version == d.Version && known.Document.Hash == d.Hash {
		return known
	}
	compiled, _ := dsl.CompileRoute(d.Source)
	if compiled == nil {
		compiled = &dsl.Route{}
	}
	return &version{Document: d, Route: compiled, Version: d.Version}
}

// find gives the route of a target and the target; nil if there is none.
func (l *library) find(key deviceops.TargetKey) (*version, *dsl.RouteTarget) {
	v := l.routes[libraryKey(key)]
	if v == nil {
		return nil, nil
	}
	for i := range v.Targets {
		if v.Targets[i].Name == key.Target {
			return v, &v.Targets[i]
		}
	}
	return v, nil
}
