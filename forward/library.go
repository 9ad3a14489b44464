package forward

import (
	"context"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// library has the newest version of each published route, compiled.
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

func libraryKey(account, name string) string { return account + "\x00" + name }

// refresh reads what was published. Sources are read when they are new.
func (l *library) refresh(ctx context.Context) error {
	documents, err := l.store.ListDocuments(ctx, deviceops.RootAccount, deviceops.KindRoute)
	if err != nil {
		return err
	}
	routes := map[string]*version{}
	for _, d := range documents {
		key := libraryKey(d.Account, d.Name)
		if known := l.routes[key]; known != nil && known.Document.Version == d.Version && known.Document.Hash == d.Hash {
			routes[key] = known
			continue
		}
		full, err := l.store.FindDocument(ctx, d.Account, d.Kind, d.Name, d.Version)
		if err != nil {
			return err
		}
		compiled, _ := dsl.CompileRoute(full.Source)
		if compiled == nil {
			compiled = &dsl.Route{}
		}
		routes[key] = &version{Document: full, Route: compiled, Version: full.Version}
	}
	l.routes = routes
	return nil
}

// find gives the route of a target and the target; nil if there is none.
func (l *library) find(key deviceops.TargetKey) (*version, *dsl.RouteTarget) {
	v := l.routes[libraryKey(key.Account, key.Route)]
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
