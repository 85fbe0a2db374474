# A reload that changes where the state is shared: another Redis, none, back.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Redis;

plan(skip_all => 'no redis-server') unless Test::LLM::Redis::available();

my ($one, $two) = map { Test::LLM::Redis->new } 1, 2;

my $text = <<'EOC';
    llm_zone t:8m;
    REDIS
    llm_provider canned { dialect mock; }
    llm_limit per=$arg_who 1000r/d;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /admin/ { llm_admin; }
        location / { llm_pass canned; }
    }
EOC

my $gw = Test::LLM::Gateway->new(workers => 2,
    vars => { ONE => $one->port, TWO => $two->port },
    conf => $text =~ s/REDIS/llm_redis 127.0.0.1:%%ONE%%;/r)->start;

sub status { return $gw->get('/admin/redis')->json }
sub with { return $text =~ s/REDIS/$_[0]/r }
sub lives {
    my ($redis, $key) = @_;
    my $id = status()->{node};
    return wait_for(sub { ($redis->try('ZSCORE', $key, $id))[0] }, 30);
}
sub served {
    my ($name) = @_;
    my @s = map { $_->status } $gw->many(8, map { [ POST => '/v1/chat/completions?who=a',
        { 'Content-Type' => 'application/json' }, chat_body('x') ] } 1 .. 40);
    is(scalar(grep { $_ != 200 } @s), 0, "$name: served");
}

ok(lives($one, 'llmgw:{cp}:nodes'), 'the first');
served('the first');
my $id = status()->{node};

$gw->reload(with('llm_redis 127.0.0.1:%%TWO%%;'));
ok(lives($two, 'llmgw:{cp}:nodes'), 'another one');
is(status()->{node}, $id, 'the same node');
is(status()->{address}, '127.0.0.1:' . $two->port, 'its address');
served('another one');

$gw->reload(with('llm_redis 127.0.0.1:%%TWO%% prefix=b: db=1;'));
$two->cmd('SELECT', 1);
ok(lives($two, 'b:{cp}:nodes'), 'another prefix and database');
served('another prefix');

$gw->reload(with(''));
ok(wait_for(sub { !status()->{configured} }, 20), 'none');
is(status()->{nodes}, 1, 'none: this node is alone');
ok(status()->{leader}, 'none: and leads itself');
served('none');

$gw->reload(with('llm_redis 127.0.0.1:%%ONE%%;'));
ok(lives($one, 'llmgw:{cp}:nodes'), 'back again');
ok(wait_for(sub { status()->{connected} }, 20), 'connected');
served('back');

# a configuration that fails leaves the one in force as it is
$gw->expect_log(qr/\[emerg\]/);
my $n = status()->{counts}{replies};
ok(!$gw->reload(with('llm_redis 127.0.0.1:1 db=x;')), 'a mistake is refused');
like($gw->log, qr/invalid value "db=x"/, '... and told');
ok(wait_for(sub { status()->{counts}{replies} > $n + 2 }, 20), 'and all goes on');

# many workers that come and go
for (1 .. 3) {
    $gw->reload(with('llm_redis 127.0.0.1:%%ONE%%;'));
    served("reload $_");
}
ok(wait_for(sub { $one->cmd('PUBSUB', 'NUMSUB', 'llmgw:ev')->[1] == 1 }, 30),
    'one worker listens');

finish;
