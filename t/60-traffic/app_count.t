# What a request proves about the application behind its variant: read from what
# the application did, whatever the client was shown; and an application that
# fails is rolled back.

use lib 't/lib';
use Test::LLM;

use IO::Socket::INET;

my ($blue, $green) = map { Test::LLM::Upstream->new } 1, 2;
my $gw = Test::LLM::Gateway->new(
    vars => { BLUE => $blue->port, GREEN => $green->port, DEAD => silent_port() }, conf => <<'EOC')->start;
    llm_zone t:48m;
    log_format llm '$http_x_n|$llm_split|$llm_variant|$llm_route|$llm_status_class';
    access_log %%DIR%%/llm.log llm;
    proxy_cache_path %%DIR%%/cache keys_zone=c:1m;
    upstream blue  { server 127.0.0.1:%%BLUE%%; }
    upstream green { server 127.0.0.1:%%GREEN%%; }
    upstream pair  { server 127.0.0.1:%%DEAD%% max_fails=0; server 127.0.0.1:%%GREEN%% backup; }
    llm_split s    { variant blue http://blue 0%; variant green http://green 100%; force $http_x_variant allow=127.0.0.1; }
    llm_split dead { variant blue http://blue 0%; variant green http://127.0.0.1:%%DEAD%% 100%; }
    llm_split pair { variant blue http://blue 0%; variant green http://pair 100%; }
    llm_split roll { variant blue http://blue 50%; variant green http://green 50%;
                     rollback error_rate>5% for=200ms min=10 window=600ms; }
    server {
        listen 127.0.0.1:%%PORT%%;
        proxy_read_timeout 400ms;
        location /s/     { llm_pass s; }
        location /on/    { proxy_buffering on; llm_pass s; }
        location /whole/ { proxy_request_buffering on; llm_pass s; }
        location /dead/  { llm_pass dead; }
        location /pair/  { llm_pass pair; }
        location /roll/  { llm_pass roll; }
        location /small/ { client_max_body_size 4; llm_pass s; }
        location /page/  { proxy_intercept_errors on; error_page 404 500 502 504 = @page; llm_pass s; }
        location /away/  { error_page 502 = /on/instead; llm_pass dead; }
        location /cache/ { proxy_buffering on; proxy_cache c; proxy_cache_valid 200 1h; llm_pass s; }
        location @page   { return 200 "all is well"; }
        location /hidden/ { internal; return 200 "hidden"; }
        location /admin/ { llm_admin; }
    }
EOC

my ($n, %before) = (0);

# what changed of a variant since the last look: "n=1 errors=1"
sub changed {
    my ($split, $variant) = @_;
    my ($v) = grep { $_->{name} eq $variant } @{ $gw->get("/admin/splits/$split")->json->{variants} };
    my $now = $v->{totals};
    my $old = $before{"$split/$variant"} || {};
    my %d = map { ($_ => $now->{$_} - ($old->{$_} // 0)) } keys %$now;
    $before{"$split/$variant"} = $now;
    return join ' ', map { "$_=$d{$_}" } grep { $d{$_} } qw(n errors refused uncounted forced ineligible);
}

sub logged {
    my ($id) = @_;
    return wait_for(sub { $gw->access('llm.log') =~ /^$id\|(.*)$/m ? $1 : undef }) // '';
}

# one request to an application that does this, and what it counts as
sub counts {
    my ($name, $path, $script, $expected, $class, %o) = @_;
    my $split = $o{split} // 's';
    $green->on('/*' => $script) if $script;
    changed($split, 'green');
    $n++;
    my @what = ($o{method} // 'GET', $path, { 'X-N' => $n, %{ $o{headers} || {} } }, $o{body});
    my $r;
    if ($o{during}) {
        $r = $gw->request(@what, %{ $o{options} || {} });
        $o{during}->($r);
        $r->abort('hard');
    } else {
        $r = $gw->http(@what, %{ $o{options} || {} });
    }
    my ($line, $all) = (logged($n), '');
    wait_for(sub { my $more = changed($split, 'green'); $all .= $more; $all eq $expected }, 2);
    is($all, $expected, $name);
    like($line, qr/^$split\|green\|http:[^|]*\|$class$/, "... $class") if defined $class;
    return $r;
}

sub cut { [ [ send => "HTTP/1.1 200 OK\\r\\n$_[0]\\r\\n\\r\\n$_[1]" ], [ $_[2] // 'fin' ] ] }
my $ok = [ [ status => 200 ], [ body => 'fine' ] ];
my @chunked = ('Transfer-Encoding: chunked', '5\r\nhello\r\n');
my @length = ('Content-Length: 100', 'short');

counts('an answer', '/s/', $ok, 'n=1', 'ok');
counts('one of 404', '/s/', [ [ status => 404 ], [ body => 'no' ] ], 'n=1 refused=1', 'invalid_request');
counts('one of 500', '/s/', [ [ status => 500 ], [ body => 'no' ] ], 'n=1 errors=1', 'server');
counts('its own 502', '/s/', [ [ status => 502 ], [ body => 'no' ] ], 'n=1 errors=1', 'server');
counts('nobody there', '/dead/', undef, 'n=1 errors=1', 'network', split => 'dead');
counts('closed at once', '/s/', [ [ 'fin' ] ], 'n=1 errors=1', 'network');
counts('never answers', '/s/', [ [ 'hang' ] ], 'n=1 errors=1', 'timeout_header');
$gw->expect_log(qr/upstream sent no valid HTTP/);
counts('no HTTP', '/s/', [ [ send => 'rubbish\r\n\r\n' ], [ 'fin' ] ], 'n=1 errors=1', 'network');
counts('another server of the upstream', '/pair/', $ok, 'n=1', 'ok', split => 'pair');

for my $path ('/s/', '/on/') {
    counts("$path cut within its length", $path, cut(@length), 'n=1 errors=1', 'cut');
    counts("$path cut between chunks", $path, cut(@chunked), 'n=1 errors=1', 'cut');
    counts("$path reset", $path, cut(@chunked, 'rst'), 'n=1 errors=1', 'cut');
    counts("$path stalls", $path, cut(@chunked, 'hang'), 'n=1 errors=1', 'cut');
    counts("$path stalls without a length", $path, cut('X: y', 'hello', 'hang'), 'n=1 errors=1', 'cut');
    counts("$path ends without a length", $path, cut('X: y', 'hello'), 'n=1', 'ok');
    counts("$path in chunks", $path, [ [ send => "HTTP/1.1 200 OK\\r\\n$chunked[0]\\r\\n\\r\\n$chunked[1]0\\r\\n\\r\\n" ] ], 'n=1', 'ok');
    counts("$path HEAD", $path, [ [ send => 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n' ] ], 'n=1', 'ok', method => 'HEAD');
    counts("$path 204", $path, [ [ send => 'HTTP/1.1 204 None\r\n\r\n' ] ], 'n=1', 'ok');
    counts("$path 304", $path, [ [ send => 'HTTP/1.1 304 Same\r\n\r\n' ] ], 'n=1', 'ok');
    counts("$path without a body", $path, [ [ send => 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' ] ], 'n=1', 'ok');
    counts("$path a large one", $path, [ [ status => 200 ], [ body => 'x' x 900_000 ] ], 'n=1', 'ok');
    counts("$path the client leaves before", $path, [ [ 'hang' ] ], 'uncounted=1', 'client_gone',
        during => sub { wait_for(sub { $green->count($path) }) });
    $green->forget;
}

counts('the client leaves within', '/s/', cut(@length, 'hang'), 'uncounted=1', 'client_gone',
    during => sub { my ($c) = @_; run_all(10, $c, sub { $c->body eq 'short' }) });
counts('too large, refused before', '/small/', $ok, '', undef, method => 'POST', body => '12345');
counts('by force', '/s/', $ok, 'forced=1', 'ok', headers => { 'X-Variant' => 'green' });

for my $status (404, 500) {
    my $r = counts("$status behind an error page", '/page/', [ [ status => $status ], [ body => 'no' ] ],
        'n=1 ' . ($status == 404 ? 'refused=1' : 'errors=1'));
    is($r->status . $r->body, '200all is well', '... which is all the client sees');
}
my $r = counts('an error page that asks another split', '/away/', $ok, 'n=1 errors=1', undef, split => 'dead');
is($r->body, 'fine', '... shows its answer');
is(changed('s', 'green'), 'n=1', '... which counts there');

$r = counts('X-Accel-Redirect', '/s/', [ [ status => 200 ], [ header => 'X-Accel-Redirect: /hidden/x' ], [ body => 'x' ] ], 'n=1');
is($r->body, 'hidden', '... leads elsewhere');

counts('asked for the cache', '/cache/', $ok, 'n=1', 'ok');
is(counts('answered from the cache', '/cache/', undef, 'uncounted=1')->body, 'fine', '... with its answer');

# over a socket of its own, which stays open
sub open_with {
    my (@lines) = @_;
    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gw->port) or die "connect: $!";
    syswrite $sock, join "\r\n", $lines[0], 'Host: x', @lines[1 .. $#lines];
    return $sock;
}
# a request counts when it ends: after a broken body, with nginx's lingering_timeout of 5 s
sub counted {
    my ($expected, $name) = @_;
    my $all = '';
    wait_for(sub { $all .= changed('s', 'green'); $all eq $expected }, 20);
    is($all, $expected, $name);
}

$green->on('/*' => [ [ send => 'HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n' ], [ 'hang' ] ]);
my $ws = open_with('GET /s/ HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket', '', '');
counted('n=1', 'WebSocket counts when it begins');
$green->close_all;
close $ws;

$green->on('/*' => $ok);
my $bad = open_with('POST /s/ HTTP/1.1', 'Transfer-Encoding: chunked', '', "zzz\r\n");
counted('uncounted=1', 'a broken body of the client');
close $bad;
counted('', '... once, and so does WebSocket');


# ---- an application that fails is rolled back -------------------------------

$blue->on('/*' => $ok);
$green->on('/*' => [ [ status => 500 ], [ body => 'broken' ] ]);
my %served;
my $rolled = wait_for(sub {
    my @c = $gw->many(10, map { [ GET => '/roll/' ] } 1 .. 20);
    $served{ $_->header('x-llm-variant') . $_->status }++ for @c;
    ($gw->get('/admin/splits/roll')->json->{weights}{green} // 1) == 0;
}, 30);
ok($rolled, 'rolled back');
ok($served{green500} && $served{blue200}, '... after both had requests') or diag explain \%served;
is($gw->get('/admin/splits/roll')->json->{state}, 'rolled_back', '... the split says so');
$green->forget;
my @after = $gw->many(10, map { [ GET => '/roll/' ] } 1 .. 50);
is(scalar(grep { $_->status == 200 && $_->header('x-llm-variant') eq 'blue' } @after), 50, 'everybody is served by the other');
is($green->count, 0, '... alone');

finish();
