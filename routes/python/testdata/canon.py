"""Writes CPython's tree of the files named on standard input, one a line, in
the canonical form of dump_test.go, with the lowering that python.go documents
done here on the tree. After each file comes a line "=== ok" or "=== error"."""
import ast
import struct
import sys

OPS = {
    ast.Add: "Add()", ast.Sub: "Sub()", ast.Mult: "Mult()", ast.MatMult: "FloorDiv()", ast.Div: "Div()",
    ast.Mod: "Mod()", ast.Pow: "Pow()", ast.LShift: "LShift()", ast.RShift: "RShift()", ast.BitOr: "BitOr()",
    ast.BitXor: "BitXor()", ast.BitAnd: "BitAnd()", ast.FloorDiv: "FloorDiv()", ast.And: "And()", ast.Or: "Or()",
    ast.Invert: "Invert()", ast.Not: "Not()", ast.UAdd: "UAdd()", ast.USub: "USub()",
    ast.Eq: "Eq()", ast.NotEq: "NotEq()", ast.Lt: "Lt()", ast.LtE: "LtE()", ast.Gt: "Gt()", ast.GtE: "GtE()",
    ast.Is: "Is()", ast.IsNot: "IsNot()", ast.In: "In()", ast.NotIn: "NotIn()",
}


def quote(s):
    out = []
    for c in s:
        if 0xD800 <= ord(c) < 0xE000:
            c = "\ufffd"
        out.append(c if " " <= c <= "~" and c not in '"\\' else "\\{%x}" % ord(c))
    return '"' + "".join(out) + '"'


def number(v):
    if isinstance(v, complex):
        if v.imag == float("inf"):
            v = complex(0, 1e308)
        return "#j%016x" % struct.unpack(">Q", struct.pack(">d", v.imag))[0]
    if isinstance(v, float):
        if v == float("inf"):
            v = 1e308
        return "#%016x" % struct.unpack(">Q", struct.pack(">d", v))[0]
    return "#%d" % v


class Canon:
    def __init__(self, lines, write):
        self.lines = lines
        self.write = write
        self.string = 0

    def at(self, n):
        return "" if self.string else "@%d" % n.lineno

    def body(self, stmts, indent):
        for s in stmts:
            self.stmt(s, indent)

    def line(self, indent, no, keyword, text=""):
        self.write(("%s%s %s %s" % (" " * indent, no, keyword, text)).rstrip() + "\n")

    def stmt(self, s, indent):
        kind = type(s).__name__
        for d in getattr(s, "decorator_list", []):
            self.write("%s%d @ %s\n" % (" " * indent, d.lineno if not isinstance(d, ast.Tuple) else d.lineno, self.expr(d)))
        if kind in ("FunctionDef", "AsyncFunctionDef"):
            self.line(indent, s.lineno, "def", "(def %s %s %s)" % (s.name, self.arguments(s.args), self.expr(s.returns)))
            self.body(s.body, indent + 1)
        elif kind == "ClassDef":
            self.line(indent, s.lineno, "class", "(class %s %s)" % (s.name, self.args(s.bases, s.keywords)))
            self.body(s.body, indent + 1)
        elif kind == "If":
            self.if_(s, indent, "if")
        elif kind == "While":
            self.line(indent, s.lineno, "while", self.expr(s.test))
            self.body(s.body, indent + 1)
            self.else_(s.orelse, indent)
        elif kind in ("For", "AsyncFor"):
            self.line(indent, s.lineno, "for", "(for %s %s)" % (self.expr(s.target), self.expr(s.iter)))
            self.body(s.body, indent + 1)
            self.else_(s.orelse, indent)
        elif kind in ("With", "AsyncWith"):
            items = ["%s as %s" % (self.expr(i.context_expr), self.expr(i.optional_vars)) for i in s.items]
            self.line(indent, s.lineno, "with", "(with %s)" % " ".join(items))
            self.body(s.body, indent + 1)
        elif kind in ("Try", "TryStar"):
            self.try_(s, indent)
        elif kind == "Match":
            self.line(indent, s.lineno, "match", self.expr(s.subject))
            for c in s.cases:
                names = "".join(" %s@%d" % n for n in self.captures(c.pattern))
                guard = self.expr(c.guard) if c.guard else "true"
                self.line(indent, "-", "case", "(call __case__ [%s%s])" % (guard, names))
                self.body(c.body, indent + 1)
        else:
            self.line(indent, s.lineno, "", self.simple(s, kind))

    def else_(self, stmts, indent, keyword="else"):
        if stmts:
            self.line(indent, "-", keyword)
            self.body(stmts, indent + 1)

    def if_(self, s, indent, keyword):
        self.line(indent, s.lineno, keyword, self.expr(s.test))
        self.body(s.body, indent + 1)
        if len(s.orelse) == 1 and isinstance(s.orelse[0], ast.If):
            n = s.orelse[0]
            if self.lines[n.lineno - 1].encode()[n.col_offset:].startswith(b"elif"):
                self.if_(n, indent, "elif")
                return
        self.else_(s.orelse, indent)

    def try_(self, s, indent):
        self.line(indent, s.lineno, "try")
        self.body(s.body, indent + 1)
        for h in s.handlers:
            self.line(indent, h.lineno, "except", "(except %s %s)" % (self.expr(h.type), h.name or ""))
            self.body(h.body, indent + 1)
        self.else_(s.orelse, indent)
        self.else_(s.finalbody, indent, "finally")

    def captures(self, p):
        out = []
        for n in ast.walk(p):
            k = type(n).__name__
            if k in ("MatchAs", "MatchStar") and n.name:
                out.append((n.end_lineno, n.end_col_offset, n.name))
            elif k == "MatchMapping" and n.rest:
                out.append((n.end_lineno, n.end_col_offset - 1, n.rest))
        return [(name, line) for line, _, name in sorted(out)]

    def simple(self, s, kind):
        e = self.expr
        if kind == "Expr":
            return e(s.value)
        if kind == "Assign":
            return "(assign %s %s)" % (self.exprs(s.targets), e(s.value))
        if kind == "AnnAssign":
            return "(assign [%s] %s)" % (e(s.target), e(s.value)) if s.value else "pass"
        if kind == "TypeAlias":
            return "(assign [%s] %s)" % (e(s.name), e(s.value))
        if kind == "AugAssign":
            return "(aug %s %s %s)" % (OPS[type(s.op)], e(s.target), e(s.value))
        if kind == "Return":
            return "(return %s)" % e(s.value)
        if kind == "Delete":
            return "(del %s)" % self.exprs(s.targets)
        if kind == "Raise":
            return "(raise %s %s)" % (e(s.exc), e(s.cause))
        if kind == "Assert":
            return "(assert %s %s)" % (e(s.test), e(s.msg))
        if kind in ("Import", "ImportFrom"):
            names = ",".join("%s:%s" % (a.name, a.asname or "") for a in s.names)
            return "(import %s)" % names if kind == "Import" else "(from %d %s %s)" % (s.level, s.module or "", names)
        if kind in ("Global", "Nonlocal"):
            return "(%s [%s])" % (kind.lower(), " ".join(s.names))
        return kind.lower()

    def exprs(self, list_):
        return "[" + " ".join(self.expr(x) for x in list_) + "]"

    def star(self, x):
        if isinstance(x, ast.Starred):
            return "(call __star__ [%s])" % self.expr(x.value)
        return self.expr(x)

    def args(self, args, keywords):
        out = [self.star(a) for a in args]
        out += ["%s=%s" % (k.arg, self.expr(k.value)) for k in keywords if k.arg]
        out += ["**" + self.expr(k.value) for k in keywords if not k.arg]
        return "[" + " ".join(out) + "]"

    def arguments(self, a):
        def arg(x):
            if x is None:
                return "-"
            t = x.annotation
            return x.arg + ":" + self.expr(t.value if isinstance(t, ast.Starred) else t)
        return "(args [%s] %s %s [%s] %s %s)" % (
            " ".join(map(arg, a.posonlyargs + a.args)), self.exprs(a.defaults), arg(a.vararg),
            " ".join(map(arg, a.kwonlyargs)), self.exprs(a.kw_defaults), arg(a.kwarg))

    def generators(self, gens):
        return " ".join("(for %s %s %s)" % (self.expr(g.target), self.expr(g.iter), self.exprs(g.ifs)) for g in gens)

    def joined(self, n):
        parts = []

        def text(s):
            if parts and parts[-1][0]:
                parts[-1] = (True, parts[-1][1] + s)
            else:
                parts.append((True, s))
        self.string += 1
        for v in n.values:
            if isinstance(v, ast.Constant):
                text(v.value)
            elif v.conversion in (-1, 115) and v.format_spec is None:
                parts.append((False, self.expr(v.value)))
            else:
                parts.append((False, "__unknown__"))
        self.string -= 1
        if all(p[0] for p in parts):
            return quote("".join(p[1] for p in parts)) + self.at(n)
        return "(call __fstring__ [%s])" % " ".join(quote(p[1]) + ("" if self.string else "") if p[0] else p[1] for p in parts)

    def expr(self, n):
        if n is None:
            return "-"
        return getattr(self, "x_" + type(n).__name__)(n)

    def x_Constant(self, n):
        v = n.value
        if v is ...:
            return "..."
        if v is None or v is True or v is False:
            return {None: "None", True: "true", False: "false"}[v]
        if isinstance(v, str):
            return quote(v) + self.at(n)
        if isinstance(v, bytes):
            return "b" + v.hex()
        return number(v)

    def x_JoinedStr(self, n):
        return self.joined(n)

    def x_Call(self, n):
        dunder = isinstance(n.func, ast.Name) and n.func.id.startswith("__") and n.func.id.endswith("__")
        return "(call%s %s %s)" % ("" if dunder else self.at(n), self.expr(n.func), self.args(n.args, n.keywords))

    def x_Attribute(self, n):
        return "(attr%s %s %s)" % (self.at(n), self.expr(n.value), n.attr)

    def x_Subscript(self, n):
        return "(sub%s %s %s)" % (self.at(n), self.expr(n.value), self.index(n.slice))

    def index(self, s):
        if isinstance(s, ast.Tuple):
            return "(tuple [%s])" % " ".join(self.star(x) for x in s.elts)
        return self.expr(s)

    def x_Slice(self, n):
        return "(slice %s %s %s)" % (self.expr(n.lower), self.expr(n.upper), self.expr(n.step))

    def x_Name(self, n):
        return n.id if n.id.startswith("__") else n.id + self.at(n)

    def x_NamedExpr(self, n):
        return "(call __walrus__ [%s %s])" % (self.expr(n.target), self.expr(n.value))

    def x_Tuple(self, n):
        return "(tuple %s)" % self.exprs(n.elts)

    def x_List(self, n):
        return "(list %s)" % self.exprs(n.elts)

    def x_Set(self, n):
        return "(set [%s])" % " ".join(self.star(x) for x in n.elts)

    def x_Dict(self, n):
        keys = " ".join("__starstar__" if k is None else self.expr(k) for k in n.keys)
        return "(dict [%s] %s)" % (keys, self.exprs(n.values))

    def x_Starred(self, n):
        return "*" + self.expr(n.value)

    def x_Await(self, n):
        return self.expr(n.value)

    def x_BoolOp(self, n):
        return "(%s %s)" % (OPS[type(n.op)], self.exprs(n.values))

    def x_BinOp(self, n):
        return "(%s %s %s)" % (OPS[type(n.op)], self.expr(n.left), self.expr(n.right))

    def x_UnaryOp(self, n):
        return "(%s %s)" % (OPS[type(n.op)], self.expr(n.operand))

    def x_Compare(self, n):
        return "(compare %s [%s] %s)" % (self.expr(n.left), " ".join(OPS[type(o)] for o in n.ops), self.exprs(n.comparators))

    def x_IfExp(self, n):
        return "(ifexp %s %s %s)" % (self.expr(n.test), self.expr(n.body), self.expr(n.orelse))

    def x_Lambda(self, n):
        return "(lambda %s %s)" % (self.arguments(n.args), self.expr(n.body))

    def x_Yield(self, n):
        return "(yield %s)" % self.expr(n.value)

    def x_YieldFrom(self, n):
        return "(yieldfrom %s)" % self.expr(n.value)

    def x_ListComp(self, n):
        return "(listcomp %s %s)" % (self.expr(n.elt), self.generators(n.generators))

    def x_SetComp(self, n):
        return "(setcomp %s %s)" % (self.expr(n.elt), self.generators(n.generators))

    def x_GeneratorExp(self, n):
        return "(genexp %s %s)" % (self.expr(n.elt), self.generators(n.generators))

    def x_DictComp(self, n):
        return "(dictcomp %s %s %s)" % (self.expr(n.key), self.expr(n.value), self.generators(n.generators))


def main():
    sys.setrecursionlimit(20000)
    out = sys.stdout
    for name in sys.stdin:
        parts = []
        try:
            src = open(name.rstrip("\n"), "rb").read()
            tree = ast.parse(src)
            lines = src.decode("utf-8", "replace").lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
            Canon(lines, parts.append).body(tree.body, 0)
            status = "ok"
        except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
            status = "error %s" % str(e).replace("\n", " ")[:100]
        for p in parts:
            out.write(p)
        out.write("=== %s\n" % status)
        out.flush()


main()
