# A server that only looks like Redis: whatever it says, the gateway serves, and
# when the server behaves again, all is well.

use lib 't/lib';
use Test::LLM;
use Test::LLM::RespServer;

my $fake = Test::LLM::RespServer->new;

sub bulk { return map { sprintf "\$%d\r\n%s\r\n", length, $_ } @_ }
sub list { return join '', sprintf("*%d\r\n", scalar @_), @_ }

my ($info) = bulk("# Server\r\nredis_version:7.0.0\r\nrun_id:" . 'a' x 40
    . "\r\nloading:0\r\nrole:master\r\n");
my $id = 'feedfacefeedface';
my $ms = int(now() * 1000);

# what the agent's script says
sub poll_reply {
    my (%o) = @_;
    my @p = (bulk($ms), bulk("0123456789abcdef $ms " . 'b' x 16), bulk($id),
        bulk(7), list(bulk($id, $ms)), list());
    $p[$_] = $o{$_} for keys %o;
    return list(@p);
}

my $good = poll_reply();

# the gateway speaks first with a server that behaves
sub behave {
    $fake->on(INFO => $info);
    $fake->on(SUBSCRIBE => list(bulk('subscribe', 'llmgw:ev'), ":1\r\n"));
    $fake->on(PING => list(bulk('pong', '')));
    $fake->on(EVALSHA => $good);
    $fake->on(EVAL => $good);
}

behave();

my $gw = Test::LLM::Gateway->new(vars => { REDIS => $fake->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_redis 127.0.0.1:%%REDIS%% timeout=1s;
    llm_provider canned { dialect mock; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
        location / { llm_pass canned; }
    }
EOC

sub status { return $gw->get('/admin/redis')->json }
sub answered {
    my $n = status()->{counts}{replies};
    my $e = status()->{counts}{errors};
    return wait_for(sub { my $c = status();
        $c->{connected} && $c->{counts}{replies} > $n && $c->{term} == 7
            && $c->{counts}{errors} == $e }, 40);
}

ok(answered(), 'a server that behaves');
my $s = status();
is_deeply([ sort @{ $s->{live} } ], [ sort $id, $s->{node} ], 'another node');
ok(!$s->{leader}, 'which leads');


# ---- replies that end the connection ------------------------------------------

my %fatal = (
    'deep nesting'        => '*1' . "\r\n*1" x 30 . "\r\n:1\r\n",
    'a huge array'        => "*1000000000\r\n",
    'a huge array inside' => "*2\r\n:1\r\n*2147483647\r\n",
    'an endless array'    => "*99999999999999999999\r\n",
    'no type'             => "hello\r\n",
    'RESP3'               => "%1\r\n+a\r\n+b\r\n",
    'binary'              => join('', map { chr } 0 .. 255) . "\r\n",
    'an answer too many'  => $good x 3,
    'a long reply'        => { bytes => "\$900000000\r\n", more => 'x' x 1000,
                               times => 17_500 },
);

for my $name (sort keys %fatal) {
    my $failures = status()->{counts}{failures};
    $fake->on(EVALSHA => $fatal{$name});
    ok(wait_for(sub { status()->{counts}{failures} > $failures }, 40),
        "$name: the connection is given up");
    my $r = $gw->post('/v1/chat/completions', chat_body('x'),
        'Content-Type' => 'application/json');
    is($r->status, 200, "$name: requests are served");
    behave();
    ok(answered(), "$name: over");
}

# half of a reply, and no more
for my $how ('silence', 'the end') {
    my $failures = status()->{counts}{failures};
    $fake->on(EVALSHA => { bytes => substr($good, 0, 40),
                           close => $how eq 'the end' });
    ok(wait_for(sub { status()->{counts}{failures} > $failures }, 40),
        "half a reply, then $how");
    behave();
    ok(answered(), "half a reply, then $how: over");
}


# ---- replies that say nothing ---------------------------------------------------

my %strange = (
    'a status'       => "+OK\r\n",
    'a number'       => ":1\r\n",
    'nothing'        => "\$-1\r\n",
    'no array'       => "*-1\r\n",
    'an empty array' => "*0\r\n",
    'six nothings'   => '*6' . "\r\n" . "\$-1\r\n" x 6,
    'no time'        => poll_reply(0 => bulk('soon')),
    'no nodes'       => poll_reply(4 => ":3\r\n"),
    'no topics'      => poll_reply(5 => bulk('none')),
);

for my $name (sort keys %strange) {
    my $before = status();
    $fake->on(EVALSHA => $strange{$name});
    ok(wait_for(sub { status()->{counts}{replies} > $before->{counts}{replies} },
        40), "$name: taken");
    is(status()->{counts}{failures}, $before->{counts}{failures},
        "$name: the connection stays");
}
behave();
ok(answered(), 'sense again');

# members that are not what they should be
my @many = map { (bulk(sprintf '%016x', $_), bulk($ms)) } 1 .. 200;
my %odd = (
    'ids of another length' => poll_reply(4 => list(bulk('x', $ms, 'y' x 500, $ms,
                                                         '', $ms))),
    'an odd number'         => poll_reply(4 => list(bulk($id, $ms, $id))),
    'times that are none'   => poll_reply(4 => list(bulk($id, 'now'), bulk($id, '-1'))),
    'too many nodes'        => poll_reply(4 => list(@many)),
    'a boot without words'  => poll_reply(1 => bulk('x')),
    'a boot of spaces'      => poll_reply(1 => bulk('   ')),
    'a boot from the future' => poll_reply(1 => bulk('x 99999999999999 y')),
    'an endless term'       => poll_reply(3 => bulk('9' x 30)),
    'topics of any kind'    => poll_reply(5 => list(bulk('', '1', 'x' x 3000, '2',
                                   'a', 'b', "split:\0", '-5'), ":1\r\n", ":2\r\n")),
    'a time long ago'       => poll_reply(0 => bulk('1')),
    'a time without end'    => poll_reply(0 => bulk('9223372036854775807')),
);

for my $name (sort keys %odd) {
    my $before = status();
    $fake->on(EVALSHA => $odd{$name});
    ok(wait_for(sub { status()->{counts}{replies} > $before->{counts}{replies} },
        40), "$name: taken");
    my $now = status();
    cmp_ok(scalar @{ $now->{live} }, '<=', 64, "$name: nodes within bounds");
    cmp_ok($now->{nodes}, '<=', 64, "$name: ... and as a number");
    ok((grep { $_ eq $now->{node} } @{ $now->{live} })
        || @{ $now->{live} } == 64, "$name: this node among them");
}
behave();
ok(answered(), 'sense again');


# ---- errors ------------------------------------------------------------------------

for my $error ('OOM command not allowed', 'WRONGTYPE Operation', 'BUSY Redis is busy',
               'NOPERM this user has no permissions', 'MOVED 1 127.0.0.1:1',
               'ERR unknown command', 'MISCONF snapshots', 'LOADING data',
               'CLUSTERDOWN no slot', '')
{
    my $errors = status()->{counts}{errors};
    $fake->on(EVALSHA => "-$error\r\n");
    ok(wait_for(sub { status()->{counts}{errors} > $errors }, 40), "-$error: counted");
    my $r = $gw->post('/v1/chat/completions', chat_body('x'),
        'Content-Type' => 'application/json');
    is($r->status, 200, "-$error: requests are served");
}
ok(status()->{counts}{out_of_memory}, 'OOM is told apart');

for my $error ('READONLY You cannot write', 'NOAUTH Authentication required') {
    my $failures = status()->{counts}{failures};
    $fake->on(EVALSHA => "-$error\r\n");
    ok(wait_for(sub { status()->{counts}{failures} > $failures }, 40),
        "-$error: another connection");
}
behave();
ok(answered(), 'sense again');

# a script that is unknown for ever: once in full, no more
my $sent = status()->{counts}{scripts_sent};
$fake->on(EVALSHA => "-NOSCRIPT no\r\n");
$fake->on(EVAL => "-NOSCRIPT no\r\n");
ok(wait_for(sub { status()->{counts}{scripts_sent} > $sent }, 40), 'NOSCRIPT');
$fake->forget;
select undef, undef, undef, 2.5;
my %n;
$n{ $_->[0] }++ for $fake->commands;
cmp_ok(abs(($n{EVAL} // 0) - ($n{EVALSHA} // 0)), '<=', 1,
    'NOSCRIPT twice: an EVAL for each EVALSHA');
behave();


# ---- at the door --------------------------------------------------------------------

for my $hello ("-LOADING Redis is loading\r\n",
               bulk("loading:1\r\nrole:master\r\n"), bulk("role:slave\r\n"),
               bulk("cluster_enabled:1\r\n"), bulk("redis_mode:sentinel\r\n"))
{
    $fake->on(INFO => $hello);
    $fake->on(EVALSHA => { close => 1 });
    my $failures = status()->{counts}{failures};
    ok(wait_for(sub { status()->{counts}{failures} > $failures + 1 }, 40),
        'at the door: ' . ($hello =~ /(\w+:\w+|LOADING)/)[0]);
}
behave();
ok(answered(), 'open again');


# ---- what is published ----------------------------------------------------------------

my $connects = status()->{counts}{connects};
$fake->on(SUBSCRIBE => list(bulk('subscribe', 'llmgw:ev'), ":1\r\n") . join '',
    list(), list(bulk('message')), list(bulk('message', 'x')), ":5\r\n",
    list(bulk('message', 'llmgw:ev', '')),
    list(bulk('message', 'llmgw:ev', 'x' x 5000)),
    list(bulk('message', 'llmgw:ev', "\0\xff nobody knows it")),
    list(bulk('message', 'llmgw:ev', 'lim')), list(bulk('message', 'llmgw:ev', 'lim ')),
    list(bulk('message', 'llmgw:ev', 'lim ' . 'x ' x 300)),
    list(bulk('message', 'llmgw:ev', 'split:' . 'x' x 400)),
    list(bulk('message', 'llmgw:ev', 'rest: :')), list(bulk('message', 'llmgw:ev', 'breaker x y')),
    list(bulk('pmessage', 'a', 'b', 'c')), "-ERR no\r\n", list(bulk('pong', '')));
$fake->on(EVALSHA => { close => 1 });
$gw->reload;                            # another agent, so another listener
ok(wait_for(sub { status()->{counts}{connects} > $connects + 2 }, 40),
    'messages of all kinds');
$fake->on(EVALSHA => $good);
ok(answered(), 'none of them matters');
behave();


# ---- torn -----------------------------------------------------------------------------

my $log = length $gw->log;
$fake->on(EVALSHA => { tear => 0.5, bytes => $good });
$fake->on(INFO => { tear => 0.2, bytes => $info });
my $before = status()->{counts};
ok(wait_for(sub { status()->{counts}{replies} > $before->{replies} + 1 }, 40),
    'byte by byte: whole replies');
unlike(substr($gw->log, $log), qr/does not speak|nobody had asked/,
    '... and nothing else');

is(scalar(grep { $_->[0] =~ /^(?:HELLO|KEYS|CONFIG|INCR|INCRBY)$/i } $fake->commands),
    0, 'RESP2, and nothing that counts twice when it comes twice');

finish;
