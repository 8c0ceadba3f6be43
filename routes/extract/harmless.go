package extract

import "strings"

// words makes a set of the words of a text.
func words(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

// stdlibModules are the top-level modules of the standard library, Python 2 included.
var stdlibModules = words(`
BaseHTTPServer ConfigParser Cookie HTMLParser Queue SocketServer StringIO __builtin__ __future__ abc aifc
antigravity argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii bisect builtins bz2
cPickle cProfile cStringIO calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys commands
compileall concurrent configparser contextlib contextvars cookielib copy copyreg crypt csv ctypes curses
dataclasses datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno exceptions
faulthandler fcntl filecmp fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext
glob graphlib grp gzip hashlib heapq hmac html http httplib idlelib imaplib imghdr imp importlib inspect io
ipaddress itertools json keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal math mimetypes
mmap modulefinder msilib msvcrt multiprocessing netrc nis nntplib nt ntpath nturl2path numbers object opcode
operator optparse os ossaudiodev pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib posix
posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re
readline reprlib resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site
smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics
string stringprep struct subprocess sunau symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile
termios textwrap this thread threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc
tty turtle turtledemo types typing typing_extensions unicodedata unittest urllib urllib2 urlparse uu uuid venv
warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib
zoneinfo
`)

// harmlessPackages are packages outside the standard library that register no
// route on an app that they are handed.
var harmlessPackages = words(`
flask_allows2 flask_allows flask_replicated flask_webpackext multiprocess billiard joblib dill cloudpickle
OpenSSL PIL a2wsgi aiohttp airbrake alchemical alembic anthropic appsignal apscheduler arrow asgiref attr attrs authlib
babel backoff bcrypt bjoern bleach blinker boto3 botocore bottle brotli bs4 bugsnag cachetools celery cheroot
cherrypy click colorama coloredlogs cryptography cv2 datadog dateutil ddtrace decouple django docker dotenv
elasticapm elasticsearch elasticsearch_dsl environs eventlet falcon fastapi flask flask_acl flask_alembic
flask_allows flask_analytics flask_apscheduler flask_argon2 flask_assets flask_authorize flask_babel
flask_babelex flask_babelplus flask_basicauth flask_bcrypt flask_bouncer flask_breadcrumbs flask_bs4
flask_cache flask_caching flask_cassandra flask_cdn flask_celery flask_celery_helper flask_celeryext flask_cli
flask_cloudflared flask_compress flask_compressor flask_cors flask_couchdb flask_csp flask_datepicker flask_db
flask_digest flask_discord flask_dotenv flask_elasticsearch flask_env flask_events flask_excel flask_executor
flask_expects_json flask_failsafe flask_featureflags flask_fixtures flask_flatpages flask_fontawesome
flask_foundation flask_frozen flask_genshi flask_googlemaps flask_gravatar flask_gzip flask_hashing
flask_hcaptcha flask_heroku flask_htmlmin flask_httpauth flask_humanize flask_i18n flask_injector flask_inputs
flask_ipban flask_json flask_json_schema flask_jwt flask_jwt_extended flask_jwt_simple flask_kvsession
flask_ldap flask_ldap3_login flask_limiter flask_log_request_id flask_login flask_mail flask_mail_sendgrid
flask_mailman flask_mako flask_markdown flask_marshmallow flask_material flask_matomo flask_menu flask_migrate
flask_minify flask_misaka flask_moment flask_mongoengine flask_mqtt flask_msearch flask_mysql flask_mysqldb
flask_nav flask_ngrok flask_oauth flask_oauthlib flask_oidc_ext flask_openid flask_openid_connect
flask_opentracing flask_pagedown flask_paginate flask_pagination flask_parameter_validation flask_paranoid
flask_phonenumbers flask_praetorian flask_principal flask_proxy flask_proxyfix flask_pusher flask_pydantic
flask_pymongo flask_rauth flask_rbac flask_recaptcha flask_redis flask_request_id flask_reverse_proxy_fix
flask_rq flask_s3 flask_script flask_scrypt flask_seasurf flask_security_headers flask_selfdoc flask_sendgrid
flask_session flask_sessions flask_shell_ipython flask_sieve flask_simpleldap flask_slack flask_sms
flask_sqlacodegen flask_sqlalchemy flask_sqlalchemy_lite flask_sqlalchemy_session flask_squeeze flask_sslify
flask_static_digest flask_statsd flask_stripe flask_swagger flask_table flask_talisman flask_testing
flask_threads flask_turnstile flask_twilio flask_validator flask_weasyprint flask_whooshalchemy
flask_whooshalchemyplus flask_whooshee flask_wtf flask_wtforms flask_xcaptcha flask_zipkin flask_zodb flaskext
future gevent google googleapiclient grpc gunicorn honeybadger httpx humanize hypercorn importlib_metadata
importlib_resources injector instana itsdangerous jaeger_client jinja2 jose jwt kafka kombu kubernetes ldap
ldap3 livereload logging_tree loguru lxml markdown markupsafe marshmallow matplotlib meilisearch meinheld mock
mongoengine msgpack mypy_extensions nats newrelic nltk nose
notifications_utils nplusone numpy openai opensearchpy opentelemetry opentracing
orjson pandas paramiko passlib peewee pendulum pika pip pkg_resources playhouse pony prometheus_client protobuf
psutil psycopg2 pydantic pymongo pyramid pytest pytz ratelimit raven redis requests retrying rich rollbar rq
sanic scout_apm secure sentry_sdk setuptools simplejson six sklearn slack_sdk snappy spacy sqlalchemy starlette
statsd stripe structlog tabulate tenacity tensorflow termcolor toml tomli torch tornado tqdm twilio
typing_inspect ujson unittest2 urllib3 uvicorn uwsgi uwsgidecorators waitress webassets werkzeug
werkzeug_debugger wheel whitenoise whoosh wsgi_lineprof wtforms yaml zmq zodb zope zstandard
`)
