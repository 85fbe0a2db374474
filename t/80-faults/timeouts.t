# Five timeouts, each for its own phase, each really firing, over HTTP and TLS.

use lib 't/lib';
use Test::LLM;

my $ca = Test::LLM::Tls->new;
my $plain = Test::LLM::Upstream->new;
my $tls = Test::LLM::Upstream->new(tls => $ca->cert('provider.test'));
my $good = Test::LLM::Upstream->new;
$good->on('/*' => ok_chat('from the spare'));
my ($hole, @hole) = black_hole();
my $mute = Test::LLM::Upstream->new;        # speaks no TLS at all
$mute->on_connect('hang');

my $gw = Test::LLM::Gateway->new(
    vars => { PLAIN => $plain->port, TLS => $tls->port, GOOD => $good->port, HOLE => $hole, MUTE => $mute->port, CA => $ca->file },
    conf => <<"EOC")->start;
    llm_zone t:8m;
    @{[ map { my ($n, $u) = @$_; my $ssl = $u =~ /https/ ? 'ssl_trusted_certificate %%CA%%; ssl_name provider.test;' : '';
        map { my ($t, $v) = @$_; "llm_provider $n-$t { dialect openai; base_url $u; breaker off; timeout connect=5s header=5s first=5s idle=5s total=5s; timeout $v; $ssl }\n" }
        [ header => 'header=400ms' ], [ first => 'first=400ms' ], [ idle => 'idle=400ms' ], [ total => 'total=700ms' ] }
        [ p => 'http://127.0.0.1:%%PLAIN%%/v1' ], [ t => 'https://127.0.0.1:%%TLS%%/v1' ] ]}
    llm_provider hole { dialect openai; base_url http://127.0.0.1:%%HOLE%%/v1; breaker off; timeout connect=400ms; }
    llm_provider mute { dialect openai; base_url https://127.0.0.1:%%MUTE%%/v1; breaker off; timeout connect=400ms; ssl_trusted_certificate %%CA%%; }
    llm_provider g { dialect openai; base_url http://127.0.0.1:%%GOOD%%/v1; }
    log_format llm '\$request_id|\$llm_status_class|\$llm_error';
    access_log %%DIR%%/llm.log llm;
    server {
        listen 127.0.0.1:%%PORT%%;
        client_max_body_size 100m;
        add_header X-Id \$request_id always;
        llm_retry off;
        @{[ map { my $n = $_; map { "location /$n-$_/ { llm_pass $n-$_; }  location /$n-$_-g/ { llm_pass $n-$_ g; }\n" } qw(header first idle total) } qw(p t) ]}
        location /hole/ { llm_pass hole; }
        location /hole-g/ { llm_pass hole g; }
        location /mute/ { llm_pass mute; }
        location /mute-g/ { llm_pass mute g; }
    }
EOC

my $true = JSON::PP::true();
sub ask { my ($p, %o) = @_; return chat($gw, 'm', path => "/$p/v1/chat/completions", %o) }

sub class {
    my ($r) = @_;
    my $id = $r->header('x-id');
    my $line = wait_for(sub { (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] }) // '';
    return (split /\|/, $line)[1];
}

sub timed {
    my ($name, $p, $class, %o) = @_;
    subtest $name => sub {
        my $r = ask($p, %o);
        is($r->status, 504, 'status 504') or diag $r->wire;
        is($r->header('x-llm-error'), 'provider_timeout', 'provider_timeout');
        cmp_ok($r->took, '>', 0.3, 'not at once');
        cmp_ok($r->took, '<', 2.5, 'in time');
        is(class($r), $class, "class $class");
        $r = ask("$p-g", %o);
        is($r->status, 200, 'the next target answers') or diag $r->wire;
    };
}

timed('connect: nobody takes the connection', 'hole', 'timeout_connect');
timed('connect: no TLS handshake', 'mute', 'timeout_connect');

for my $secure (0, 1) {
    my $up = $secure ? $tls : $plain;
    my $p = $secure ? 't' : 'p';

    # header: streaming requests only
    $up->reset;
    $up->on('/*' => 'hang');
    timed("$p: header", "$p-header", 'timeout_header', stream => $true);
    $up->on('/*' => [ [ raw => "HTTP/1.1 200 OK\r\nContent-Ty" ], 'hang' ]);
    timed("$p: half a head", "$p-header", 'timeout_header', stream => $true);

    # a plain request may think longer than `header`
    $up->on('/*' => [ [ pause => 900 ], @{ ok_chat('thought') } ]);
    is(ask("$p-header")->status, 200, "$p: header does not hold for a request that is not streamed");

    # first
    $up->on('/*' => [ 'begin', 'hang' ]);
    timed("$p: first content", "$p-first", 'timeout_first', stream => $true);
    $up->on('/*' => [ 'begin', [ chunk => ': wait\n\n' ], [ pause => 250 ], [ chunk => ': wait\n\n' ], [ pause => 250 ], [ chunk => ': wait\n\n' ], 'hang' ]);
    timed("$p: comments are no content", "$p-first", 'timeout_first', stream => $true);

    # idle
    $up->on('/*' => ok_stream([ 'some', [ 'hang' ] ]));
    my $r = ask("$p-idle", stream => $true);
    my @e = Test::LLM::Sse::events($r);
    is(Test::LLM::Sse::text(@e), 'some', "$p: idle: what came stays");
    ok(Test::LLM::Sse::error(@e), '... an error event');
    ok(!Test::LLM::Sse::done(@e), '... no [DONE]');
    cmp_ok($r->took, '<', 2.5, '... in time');
    cmp_ok($r->took, '>', 0.3, '... not at once');

    $up->on('/*' => ok_stream([ map { ($_, [ pause => 250 ]) } 1 .. 5 ]));
    $r = ask("$p-idle", stream => $true);
    ok(Test::LLM::Sse::done(Test::LLM::Sse::events($r)), "$p: idle is between reads: a slow stream of 1.2 s ends well");

    # total
    $up->on('/*' => ok_stream([ map { ($_, [ pause => 150 ]) } 1 .. 20 ]));
    $r = ask("$p-total", stream => $true);
    @e = Test::LLM::Sse::events($r);
    ok(Test::LLM::Sse::error(@e), "$p: total ends a stream that goes on and on");
    cmp_ok($r->took, '<', 2.5, '... in time');
    $up->on('/*' => 'hang');
    timed("$p: total", "$p-total", 'timeout_total');

    # a provider that stops reading
    $up->reset;
    $up->on('/*' => [ 'early', 'stop-reading', 'hang' ]);
    $r = $gw->http(POST => "/$p-total/v1/chat/completions", {}, chat_body('m', x => 'y' x 20_000_000), timeout => 10);
    is($r->status, 504, "$p: a provider that stops reading") or diag $r->head;
    cmp_ok($r->took, '<', 6, '... in time');
}

finish();
