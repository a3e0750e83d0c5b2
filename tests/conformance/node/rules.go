package node

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"

	"github.com/siderolabs/talos/pkg/machinery/role"
)

// Rules reads machined's table of methods and the roles that may call them out of Talos' source: no package
// exports it.
func Rules(source string) (map[string]role.Set, error) {
	path := filepath.Join(source, "internal/app/machined/pkg/system/services/machined.go")

	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}

	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok || general.Tok != token.VAR {
			continue
		}

		for _, spec := range general.Specs {
			if value, ok := spec.(*ast.ValueSpec); ok && value.Names[0].Name == "rules" {
				return table(value.Values[0])
			}
		}
	}

	return nil, fmt.Errorf("%s has no variable rules", path)
}

var roles = map[string]role.Role{
	"Admin":         role.Admin,
	"Operator":      role.Operator,
	"Reader":        role.Reader,
	"EtcdBackup":    role.EtcdBackup,
	"Impersonator":  role.Impersonator,
	"ImageVerifier": role.ImageVerifier,
	"MetaWriter":    role.MetaWriter,
}

func table(expression ast.Expr) (map[string]role.Set, error) {
	literal, ok := expression.(*ast.CompositeLit)
	if !ok {
		return nil, fmt.Errorf("rules is a %T", expression)
	}

	rules := map[string]role.Set{}

	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			return nil, fmt.Errorf("an element of rules is a %T", element)
		}

		key, keyOK := pair.Key.(*ast.BasicLit)

		call, callOK := pair.Value.(*ast.CallExpr) // role.MakeSet(role.Admin, …)
		if !keyOK || !callOK {
			return nil, fmt.Errorf("an element of rules is %T: %T", pair.Key, pair.Value)
		}

		method, err := strconv.Unquote(key.Value)
		if err != nil {
			return nil, err
		}

		var allowed []role.Role

		for _, argument := range call.Args {
			selector, ok := argument.(*ast.SelectorExpr)
			if !ok {
				return nil, fmt.Errorf("%s: a role is a %T", method, argument)
			}

			known, ok := roles[selector.Sel.Name]
			if !ok {
				return nil, fmt.Errorf("%s: unknown role %s", method, selector.Sel.Name)
			}

			allowed = append(allowed, known)
		}

		rules[method] = role.MakeSet(allowed...)
	}

	return rules, nil
}
